"""`lsmplify evaluate --dataset opensim`: fits of recordings against OpenSim's joint angles of the same trials."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.tables import Measured
from learnable_smplify.datasets.opensim import opensim_trials, read_mot
from learnable_smplify.evaluation.laboratory import OPENCAP_DEG, angle_table, compare_angles
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.solver import Solver


def evaluate_opensim(root: Path, weights: Path | None, output: Path | None) -> None:
    """Fit every recording below `root` that has angles, and print rms, bias and spread of each joint.

    What markers on the skin stand off by is found with the shape; keypoints are fitted as they are.

    Raises:
        InputError: nothing is there, or a file cannot be read.
    """
    console, trials = open_console(), opensim_trials(root)
    solver = Solver(load_body(), weights=weights)
    tables, result = [], []
    with console.status("evaluating") as status:
        for markers in (True, False):
            rows = []
            for recording, angles in trials:
                keypoints = read_keypoints(recording)
                if load_layout(keypoints.layout).markers != markers:
                    continue
                status.update(f"fitting {recording.name}")
                motion = solver.fit(keypoints)
                body = load_body(motion.body)
                rows += compare_angles(recording.stem, body, motion, keypoints.start_s, read_mot(angles))
            if rows:
                kind = "markers on the skin" if markers else "markerless keypoints"
                tables.append(f"{kind} (OpenCap against markers: {OPENCAP_DEG:g} deg)\n\n{angle_table(rows)}")
                result += [{"markers": markers, **asdict(row)} for row in rows]
    for table in tables:
        console.print(table, highlight=False, markup=False)
    Measured({"dataset": "opensim", "angles": result}, tables).write(output, "evaluation", console)
