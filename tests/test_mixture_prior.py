"""The mixture-of-Gaussians pose prior: against scipy, its file formats, and which way elbows and knees bend."""

from __future__ import annotations

import os
import pickle
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import learnable_smplify as ls
from learnable_smplify.errors import InputError
from learnable_smplify.skeleton import JOINT_INDEX, MIRROR
from learnable_smplify.solver.smplify.mixture_file import read_mixture
from learnable_smplify.solver.smplify.mixture_prior import load_mixture_prior, make_mixture_prior
from learnable_smplify.solver.smplify.terms import BEND_COLUMNS, OVER_EXTENSION, bend_energy


def some_mixture(count: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    roots = random.normal(size=(count, 69, 69)) * 0.1
    covars = roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(69)
    weights = random.uniform(0.5, 1.5, count)
    return random.normal(size=(count, 69)) * 0.3, covars, weights / weights.sum()


def test_the_energy_is_that_of_the_most_likely_component() -> None:
    means, covars, weights = some_mixture()
    poses = np.random.default_rng(1).normal(size=(20, 69)) * 0.4
    nats = np.stack(
        [
            -multivariate_normal(mean, cov).logpdf(poses) - np.log(w)
            for mean, cov, w in zip(means, covars, weights, strict=True)
        ]
    )
    expected = nats.min(axis=0)
    found = make_mixture_prior(means, covars, weights).energy(torch.tensor(poses).float()).double().numpy()
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-2)
    # The maximum is a bound of the sum, no further off than log of the number of components.
    assert np.all(expected >= -logsumexp(-nats, axis=0) - 1e-9)


def test_the_most_likely_pose_has_energy_zero() -> None:
    means, covars, weights = some_mixture()
    energy = make_mixture_prior(means, covars, weights).energy(torch.tensor(means).float())
    assert float(energy.min()) == pytest.approx(0, abs=1e-4)
    assert bool((energy >= -1e-4).all())


def test_its_gradient_is_that_of_finite_differences() -> None:
    prior = make_mixture_prior(*some_mixture())
    pose = torch.full((1, 69), 0.1, requires_grad=True)
    (gradient,) = torch.autograd.grad(prior.energy(pose).sum(), pose)
    step = torch.zeros(1, 69)
    step[0, 30] = 1e-2
    with torch.no_grad():
        difference = (prior.energy(pose + step) - prior.energy(pose - step)) / 2e-2
    assert float(gradient[0, 30]) == pytest.approx(float(difference), rel=1e-2)


def test_the_shipped_mixture_has_eight_components_and_is_small() -> None:
    prior = load_mixture_prior()
    assert prior.means.shape == (8, 69)
    with as_file(files("learnable_smplify.solver.smplify") / "pose_mixture.safetensors") as path:
        assert path.stat().st_size < 200_000


def test_the_shipped_mixture_prefers_people_to_noise_and_knows_no_side() -> None:
    prior = load_mixture_prior()
    mirrored = prior.mean.view(23, 3)[[index - 1 for index in MIRROR[1:]]] * torch.tensor([1.0, -1.0, -1.0])
    there, other = prior.energy(torch.stack((prior.mean, mirrored.flatten())))
    assert float(there) < 60
    assert float((there - other).abs()) < 15
    noise = torch.randn(50, 69, generator=torch.Generator().manual_seed(0)) * 0.5
    assert float(prior.energy(noise).min()) > 3 * float(there)


def written_pickle(path: Path, protocol: int = 2, **changes: object) -> Path:
    means, covars, weights = some_mixture(8)
    content: dict[str, object] = {"means": means, "covars": covars, "weights": weights} | changes
    path.write_bytes(pickle.dumps({key: value for key, value in content.items() if value is not None}, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_licensed_gmm_pickle_is_read(tmp_path: Path, protocol: int) -> None:
    path = written_pickle(tmp_path / "gmm_08.pkl", protocol)
    for found, expected in zip(read_mixture(path), some_mixture(8), strict=True):
        np.testing.assert_allclose(found, expected)
    assert load_mixture_prior(path).factors.shape == (8, 69, 69)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "gmm_08.pkl").write_bytes(pickle.dumps({"means": Hostile()}))
    with pytest.raises(InputError, match="nothing was run"):
        load_mixture_prior(tmp_path / "gmm_08.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": None}, "key 'means' is missing"),
        ({"means": np.zeros((8, 63))}, "shapes"),
        ({"weights": np.zeros(8)}, "weight is not above 0"),
        ({"weights": np.full(8, np.nan)}, "NaN or infinity"),
        ({"covars": -np.tile(np.eye(69), (8, 1, 1))}, r"covars\[0\].*not a covariance"),
        ({"weights": "heavy"}, "no table of numbers"),
    ],
)
def test_a_mixture_that_is_none_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_mixture_prior(written_pickle(tmp_path / "gmm_08.pkl", **changes))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_mixture_prior(tmp_path / "gmm_08.pkl")
    for name in ("gmm.npz", "gmm.safetensors", "gmm.pkl"):
        (tmp_path / name).write_bytes(b"not a mixture at all")
        with pytest.raises(InputError, match=name):
            load_mixture_prior(tmp_path / name)


def test_the_bend_prior_names_elbows_and_knees() -> None:
    joints = [JOINT_INDEX[name] for name in ("left_elbow", "right_elbow", "left_knee", "right_knee")]
    assert [(column + 3) // 3 for column in BEND_COLUMNS] == joints
    assert [column + 3 for column in BEND_COLUMNS] == [55, 58, 12, 15]


@pytest.mark.parametrize("index", range(4))
def test_over_extension_is_the_way_no_limb_bends(index: int) -> None:
    """On the open body in its T-pose (facing +Z): forearms bend forward, shanks bend back."""
    body = ls.load_body()
    joint = ("left_elbow", "right_elbow", "left_knee", "right_knee")[index]
    end = JOINT_INDEX[joint.replace("elbow", "wrist").replace("knee", "ankle")]
    pose = torch.zeros(1, 72)
    pose[0, BEND_COLUMNS[index] + 3] = OVER_EXTENSION[index] * 0.5
    moved = body.joints(pose.view(1, 24, 3), torch.zeros(10)) - body.joints(torch.zeros(1, 24, 3), torch.zeros(10))
    forward = float(moved[0, end, 2])
    assert (forward < -0.05) if "elbow" in joint else (forward > 0.05)
    assert float(bend_energy(pose[:, 3:])) > 4.0
