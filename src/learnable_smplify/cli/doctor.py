"""`lsmplify doctor`: what is installed, and every place where body models are looked for."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table

from learnable_smplify.body.model_search import (
    BODY25_REGRESSOR,
    GENDERS,
    MODEL_KINDS,
    find_body25_regressor,
    search_models,
)
from learnable_smplify.cli.console import open_console
from learnable_smplify.layouts.layout import layout_names, load_layout, marker_layout_names
from learnable_smplify.layouts.whole_body import WHOLE_BODIES
from learnable_smplify.options import shown

# Extra of this package -> what it is for, and the modules it brings.
_EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "render": ("pictures and films", ("PIL", "imageio_ffmpeg")),
    "video": ("people in videos; MediaPipe itself by pip install --no-deps mediapipe==0.10.21", ("mediapipe", "cv2")),
    "c3d": ("reading C3D files", ("c3d",)),
    "glb": ("writing animated GLB", ("pygltflib",)),
    "view": ("motions in the browser", ("viser",)),
    "pandas": ("tables of joint angles", ("pandas",)),
    "onnx": ("the network for other programs", ("onnx", "onnxscript", "onnxruntime")),
    "ray": ("folders of recordings over a Ray cluster", ("ray",)),
    "bench": ("lsmplify benchmark", ("matplotlib", "keypoints2body", "smplx", "h5py")),
}


@dataclass(frozen=True)
class DoctorArgs:
    """Show what is installed: versions, devices, optional parts, body models, keypoint layouts.

    For body models it names every place that is searched, in order, and what was found there.
    """

    models: Annotated[Path | None, shown("FOLDER", "none")] = None
    """One more folder to look for body models in, before all others."""
    compile: bool = False
    """Compile the solver's kernels now, so that the first fit need not wait for them: for images of containers."""


def doctor(args: DoctorArgs) -> None:
    """Run `lsmplify doctor`."""
    console = open_console(soft_wrap=True, highlight=False, markup=True)
    _print_versions(console)
    _print_extras(console)
    _print_models(console, args.models)
    _print_layouts(console)
    if args.compile:
        _compile(console)


def _compile(console: Console) -> None:
    """Do a little of everything that has kernels of its own."""
    import numpy as np

    from learnable_smplify.body import load_body
    from learnable_smplify.cli.demo import demo_keypoints
    from learnable_smplify.cli.render import motion_clip
    from learnable_smplify.solver.compiled_hybrid import machine_code_folder
    from learnable_smplify.solver.solver import Solver

    began = time.perf_counter()
    keypoints = demo_keypoints()
    clip = replace(keypoints, positions=keypoints.positions[:12], confidence=keypoints.confidence[:12])
    for method in ("neural", "gauss_newton"):
        motion = Solver(method=method).fit(clip)
    drawn = motion_clip(motion, load_body())
    camera = drawn.cameras(np.zeros(1, int), view="front", size=(64, 64))[0]
    drawn.picture(0, camera, panel="body", floor_height=drawn.floor_height(), size=(64, 64))
    folder = machine_code_folder()
    kept = "for this process only: no folder can be written to" if folder is None else f"kept in {folder}"
    console.print(f"\nCompiled in {time.perf_counter() - began:.0f} s, {_escaped(kept)}")


def _print_versions(console: Console) -> None:
    import torch

    versions = {name: _version(name) for name in ("learnable-smplify", "torch", "numpy", "roma", "body-models")}
    console.print(f"[bold]Python[/] {platform.python_version()} on {platform.platform()}")
    console.print("[bold]Packages[/] " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    if torch.cuda.is_available():
        devices = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        console.print(f"[bold]Device[/] cuda: {devices} (use --device cuda)")
    else:
        console.print("[bold]Device[/] cpu (no CUDA device; none is needed)")
    console.print(f"[bold]CPU[/] {os.cpu_count()} processors, torch uses {torch.get_num_threads()} threads")


def _print_extras(console: Console) -> None:
    console.print("\n[bold]Optional parts[/]")
    for extra, (purpose, modules) in _EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        state = (
            "installed" if not missing else f"missing {', '.join(missing)}: pip install 'learnable-smplify[{extra}]'"
        )
        console.print(f"  {extra} ({purpose}): {_escaped(state)}")


def _print_models(console: Console, folder: Path | None) -> None:
    console.print("\n[bold]Body models[/] (the open body is in the package; the licensed ones are optional)")
    places: dict[tuple[str, Path | None], list[Path]] = {}
    for kind in MODEL_KINDS:
        for gender in GENDERS:
            for place in search_models(kind, gender, folder):
                # body-models names a file for each model, the others a folder for all.
                key = (place.source, None if place.source == "configuration of body-models" else place.folder)
                places.setdefault(key, []).extend(place.found)
    for (source, tried), found in places.items():
        if tried is not None:
            where = f"{_escaped(str(tried))} ({source})"
        else:
            where = f"{source}" if found or source == "configuration of body-models" else f"{source} (not set)"
        console.print(f"  {where}: {_listed(found, tried)}")
    regressor = find_body25_regressor()
    state = "not found; BODY_25 uses our own points" if regressor is None else _escaped(str(regressor))
    console.print(f"  {BODY25_REGRESSOR} (EasyMocap, non-commercial, also looked for beside the model): {state}")
    if not any(places.values()):
        console.print("  none found; to use one: lsmplify fit ... --body FILE, or export SMPL_BODY_MODELS=/folder")


def _print_layouts(console: Console) -> None:
    table = Table("layout", "keypoints", "what", title="Keypoint layouts (--layout)", title_justify="left", box=None)
    names = (*layout_names(), *marker_layout_names())
    for name in names:
        layout = load_layout(name)
        table.add_row(name, str(len(layout)), layout.title)
    for whole in WHOLE_BODIES:
        if whole.name not in names:
            hands = " and ".join(side for side, points in (("left", whole.left), ("right", whole.right)) if points)
            parts = "a body at rest" if whole.body == "hands" else whole.body
            table.add_row(whole.name, str(whole.count), f"{parts}; hands: {hands}")
    console.print()
    console.print(table)


def _listed(found: Iterable[Path], folder: Path | None) -> str:
    names = [
        str(path.relative_to(folder)) if folder is not None and path.is_relative_to(folder) else str(path)
        for path in dict.fromkeys(found)
    ]
    if names:
        return "[green]" + _escaped(", ".join(names)) + "[/]"
    return "no such folder" if folder is not None and not folder.is_dir() else "nothing found"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed as a package)"


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
