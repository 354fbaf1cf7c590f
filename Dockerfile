# docker build -t lsmplify . && docker run --rm -v "$PWD:/data" lsmplify fit clip.trc -o motion.npz
FROM python:3.12-slim
COPY . /src
RUN pip install --no-cache-dir '/src[render,c3d,glb]' && rm -rf /src \
    # The kernels are compiled for the processor that builds the image, and found by every user who runs it.
    && mkdir /kernels && NUMBA_CACHE_DIR=/kernels lsmplify doctor --compile && chmod -R a+rwX /kernels
ENV NUMBA_CACHE_DIR=/kernels
WORKDIR /data
ENTRYPOINT ["lsmplify"]
CMD ["--help"]
