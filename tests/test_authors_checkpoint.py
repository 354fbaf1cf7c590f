from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.cli.import_checkpoint import ImportCheckpointArgs, import_checkpoint
from learnable_smplify.errors import InputError
from learnable_smplify.network.authors_checkpoint import read_authors_checkpoint, to_authors_state
from learnable_smplify.network.canonical import canonicalise
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig
from learnable_smplify.network.weights import load_network
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.safe_files.torch_file import load_torch_file

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference checkpoint is not here")


class RunsACommand:
    """Pickles as a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def network() -> Stgcn:
    torch.manual_seed(0)
    return Stgcn(StgcnConfig(graph="ntu", mirrored_frame=True)).eval()


@pytest.fixture
def model(network: Stgcn) -> dict[str, torch.Tensor]:
    """What the authors' checkpoints hold under 'model'."""
    counter = {"backbone.data_bn.num_batches_tracked": torch.tensor(7)}
    return {"openpose_regressor": torch.zeros(25, 6890), **to_authors_state(network), **counter}


def written(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    with np.load(REFERENCE / "reference_a.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@needs_reference
def test_the_reference_outputs_are_reproduced_through_the_command(reference, tmp_path):
    output = tmp_path / "paper.safetensors"
    import_checkpoint(ImportCheckpointArgs(REFERENCE / "reference_a.pth.tar", output))
    imported = load_network(output)
    assert isinstance(imported, Stgcn)
    inputs = [reference[name] for name in ("start_keypoints", "end_keypoints", "start_pose", "betas")]
    found = imported.predict(*inputs)
    torch.testing.assert_close(found, reference["end_rotmat"], atol=1e-5, rtol=0)
    residual = rotvec_to_rotmat(reference["start_pose"][:, :22]).mT @ found
    torch.testing.assert_close(residual, reference["residual_rotmat"], atol=1e-5, rtol=0)


@needs_reference
def test_the_reference_frame_and_6d_output_are_reproduced(reference):
    start, end = reference["normalized_start"], reference["normalized_end"]
    ours = canonicalise(reference["start_keypoints"], reference["end_keypoints"], mirrored=True)
    torch.testing.assert_close(ours[0], start, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], end, atol=1e-5, rtol=0)
    network = read_authors_checkpoint(REFERENCE / "reference_a.pth.tar")
    with torch.no_grad():
        rot6d = network(start, end, reference["start_pose"][:, 1:].flatten(1), reference["betas"])
    torch.testing.assert_close(rot6d, reference["residual_rot6d"], atol=1e-5, rtol=0)


@needs_reference
def test_names_and_shapes_are_those_of_the_published_file(network):
    rows = [line.split("\t") for line in (REFERENCE / "state_dict_keys.tsv").read_text().splitlines()]
    published = {name: shape for name, shape, _ in rows if "num_batches" not in name and name != "openpose_regressor"}
    assert {name: str(tuple(tensor.shape)) for name, tensor in to_authors_state(network).items()} == published


def test_a_checkpoint_comes_back_as_the_network_it_was_made_of(network, model, tmp_path):
    read = read_authors_checkpoint(written(tmp_path / "a.pth.tar", {"model": model, "epochs": 3, "optimizer": {}}))
    assert read.config == StgcnConfig(graph="ntu", mirrored_frame=True)
    assert not read.training
    assert read.state_dict().keys() == network.state_dict().keys()
    for name, tensor in read.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


def test_no_licensed_regressor_is_kept(model, tmp_path):
    output = tmp_path / "out.safetensors"
    import_checkpoint(ImportCheckpointArgs(written(tmp_path / "a.pth.tar", {"model": model}), output))
    assert not [tensor.shape for tensor in load_network(output).state_dict().values() if 6890 in tensor.shape]
    assert b"openpose" not in output.read_bytes()


def test_an_output_of_another_kind_is_refused_before_the_checkpoint_is_read(tmp_path):
    with pytest.raises(InputError, match="safetensors"):
        import_checkpoint(ImportCheckpointArgs(tmp_path / "missing.pth.tar", tmp_path / "out.npz"))


def test_missing_and_unexpected_entries_are_named(model, tmp_path):
    model["backbone.gcn0.maskk"] = model.pop("backbone.gcn0.mask")
    with pytest.raises(InputError, match=r"1 missing \(backbone\.gcn0\.mask\), 1 unexpected \(backbone\.gcn0\.maskk\)"):
        read_authors_checkpoint(written(tmp_path / "a.pth.tar", {"model": model}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.zeros(256, 334), r"\(256, 334\).*\(256, 335\)"),
        (torch.zeros(256, 335, dtype=torch.int64), "decimal"),
        (torch.full((256, 335), torch.inf), "finite"),
        ("text", "decimal"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(model, wrong, said, tmp_path):
    model["linear.0.weight"] = wrong
    with pytest.raises(InputError, match=r"linear\.0\.weight.*" + said):
        read_authors_checkpoint(written(tmp_path / "a.pth.tar", {"model": model}))


def test_a_negative_variance_is_refused(model, tmp_path):
    model["backbone.data_bn.running_var"] = -torch.ones(75)
    with pytest.raises(InputError, match=r"data_bn\.running_var.*negative"):
        read_authors_checkpoint(written(tmp_path / "a.pth.tar", {"model": model}))


@pytest.mark.parametrize("content", [{}, {"state_dict": {}, "epoch": 1}, {"model": torch.zeros(3)}])
def test_a_file_without_weights_is_refused_by_key(content, tmp_path):
    with pytest.raises(InputError, match="key 'model'"):
        read_authors_checkpoint(written(tmp_path / "a.pth.tar", content))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_the_file_is_refused_and_not_run(zipped, tmp_path):
    path, trace = tmp_path / "evil.pth.tar", tmp_path / "trace"
    content = {"model": RunsACommand(f"touch {trace}")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"system'.*nothing was run"):
        load_torch_file(path)
    assert not trace.exists()


def test_a_plain_pickle_with_code_is_refused_and_not_run(tmp_path):
    path, trace = tmp_path / "evil.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps(RunsACommand(f"touch {trace}")))
    with pytest.raises(InputError, match="not a readable torch file"):
        load_torch_file(path)
    assert not trace.exists()


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear"):
        load_torch_file(written(tmp_path / "module.pth", torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(zipped, share, tmp_path):
    path = tmp_path / "a.pth.tar"
    torch.save({"model": {"a": torch.zeros(1000)}}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="not a readable torch file"):
        load_torch_file(path)


@pytest.mark.parametrize(
    "content", [b"hello world\n", b"PK\x03\x04 not a zip", bytes(range(255, -1, -1)), b"\x80\x02]."]
)
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "a.pth.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable torch file"):
        load_torch_file(path)


def test_no_file_a_folder_and_a_list_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_torch_file(tmp_path / "missing.pth.tar")
    with pytest.raises(InputError, match="folder"):
        load_torch_file(tmp_path)
    with pytest.raises(InputError, match="holds a list"):
        load_torch_file(written(tmp_path / "list.pth", [torch.zeros(3)]))
