"""Run by `test_train.py` under torchrun: the tiny training run, in as many processes as there are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch.distributed as dist

import learnable_smplify as ls
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.store import open_store
from learnable_smplify.training.train import LOG_EVERY, Processes, train
from test_train import TINY

if __name__ == "__main__":
    config = replace(TINY, optimisation=replace(TINY.optimisation, steps=LOG_EVERY), evaluate_every=1000)
    Processes.join()
    train(open_store(Path(sys.argv[1])), ls.load_body(), config, RunFolder(Path(sys.argv[2]), config), "cpu")
    dist.destroy_process_group()
