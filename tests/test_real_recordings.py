"""Two real recordings, whole and changed in ways that ought not to matter: the fits must agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.solver import RecordingOptions

RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "keypoints"
FILES = ("zoldello_subject0_Squats_0.trc", "S00_P00_T01_BalancingTrial_0-100.trc")
# y up to z up: turned by 90 degrees about x.
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
AGREE_MM, WRIST_MM = 15.0, 120.0
# Where these limits do not hold yet: such a test is expected to fail, not held to what it got. In the balancing trial
# the free arm hangs down nearly straight; an arm in that place is bent by 70 degrees in most motion that the priors
# and the network have seen.
NOT_YET = {
    ("S00_P00_T01_BalancingTrial_0-100.trc", "left wrist deleted"),
    ("S00_P00_T01_BalancingTrial_0-100.trc", "the deleted wrist from the measured one"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the shared recordings are not here"),
]


@dataclass
class TrcText:
    """A TRC file taken apart: header lines, and markers (T, M, 3) in its own units."""

    header: list[str]
    names: list[str]
    times: list[list[str]]
    markers: np.ndarray

    @staticmethod
    def read(path: Path) -> TrcText:
        lines = path.read_text().splitlines()
        rows = [line.split("\t") for line in lines[5:] if line.strip()]
        names = [name for name in lines[3].split("\t")[2:] if name]
        values = [[float(cell) if cell.strip() else np.nan for cell in row[2 : 2 + 3 * len(names)]] for row in rows]
        return TrcText(lines[:5], names, [row[:2] for row in rows], np.array(values).reshape(len(rows), -1, 3))

    def write(self, path: Path, markers: np.ndarray, units: str = "m", every: int = 1) -> Path:
        header = list(self.header)
        values = header[2].split("\t")
        rate = f"{float(values[0]) / every:g}"
        values[:3], values[4] = [rate, rate, str(len(markers[::every]))], units
        header[2] = "\t".join(values)
        rows = [
            "\t".join([*time, *("" if np.isnan(value) else f"{value:.7f}" for value in frame.flatten())])
            for time, frame in zip(self.times[::every], markers[::every], strict=True)
        ]
        path.write_text("\n".join([*header, *rows]) + "\n")
        return path


def with_spikes(text: TrcText) -> np.ndarray:
    """A marker a metre away, in six single frames and once for three frames in a row."""
    chance, markers = np.random.default_rng(0), text.markers.copy()
    frames = np.linspace(0, len(markers) - 4, 7).astype(int)
    spiky = ("RKnee", "LWrist", "Neck", "LHeel", "RElbow", "RHip", "LShoulder")
    for number, (frame, name) in enumerate(zip(frames, spiky, strict=True)):
        way = chance.normal(size=3)
        markers[frame : frame + (3 if number == 6 else 1), text.names.index(name)] += way / np.linalg.norm(way)
    return markers


def without(text: TrcText, name: str) -> np.ndarray:
    markers = text.markers.copy()
    markers[:, text.names.index(name)] = np.nan
    return markers


def variants(text: TrcText, folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    return {
        "left wrist deleted": text.write(folder / "wrist.trc", without(text, "LWrist")),
        "spikes of 1 m": text.write(folder / "spikes.trc", with_spikes(text)),
        "30 fps": text.write(folder / "half.trc", text.markers, every=2),
        "millimetres": text.write(folder / "mm.trc", 1000 * text.markers, units="mm"),
        "Z up": text.write(folder / "z_up.trc", text.markers @ Z_UP.T),
    }


def vertices(body: ls.Body, motion: Motion) -> torch.Tensor:
    return body.vertices(motion.pose, motion.betas, motion.transl)


def agreement(body: ls.Body, solver: ls.Solver, clean: Keypoints, paths: dict[str, Path]) -> dict[str, float]:
    """Mean vertex distance [mm] of each variant's fit to the clean one; and the deleted wrist to the measured one."""
    reference = solver.fit(clean)
    mesh, found = vertices(body, reference), {}
    for name, path in paths.items():
        keypoints = read_keypoints(path)
        motion = solver.fit(keypoints)
        turned = torch.tensor(Z_UP, dtype=torch.float32) if name == "Z up" else torch.eye(3)
        apart = (vertices(body, motion) @ turned - mesh[:: 2 if name == "30 fps" else 1]).norm(dim=-1)
        found[name] = 1000 * float(apart.mean())
        if name == "left wrist deleted":
            wrist = clean.layout.index("LWrist")
            for which, fitted in (("deleted", motion), ("fitted", reference)):
                points = body.keypoints(fitted.pose, fitted.betas, fitted.transl, clean.layout)
                seen = clean.confidence[:, wrist] > 0
                missed = (points[:, wrist] - clean.positions[:, wrist]).norm(dim=-1)[seen]
                found[f"the {which} wrist from the measured one"] = 1000 * float(missed.mean())
    return found


@pytest.mark.parametrize("smooth", [False, True], ids=["causal", "smooth"])
@pytest.mark.parametrize("file", FILES)
def test_the_fit_of_a_changed_recording_agrees_with_that_of_the_clean_one(
    file: str, smooth: bool, tmp_path: Path
) -> None:
    body, text = ls.load_body(), TrcText.read(RECORDINGS / file)
    solver = ls.Solver(body, recording_options=RecordingOptions(smooth=smooth))
    found = agreement(body, solver, read_keypoints(RECORDINGS / file), variants(text, tmp_path))
    print(f"\n{file}, {'smooth' if smooth else 'causal'} [mm]")
    for name, value in found.items():
        print(f"  {name}: {value:.2f}")
    beyond = {name for name, value in found.items() if not value < (WRIST_MM if "wrist from" in name else AGREE_MM)}
    assert not {name for name in beyond if (file, name) not in NOT_YET}
    if beyond:
        pytest.xfail(f"beyond the limits: {', '.join(sorted(beyond))}")
