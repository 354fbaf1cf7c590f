"""The HTML report: its numbers against known ones, its page against a parser, its words against hostile names."""

from __future__ import annotations

import base64
import re
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learnable_smplify.body import load_body
from learnable_smplify.cli.render import motion_clip
from learnable_smplify.cli.report import ReportArgs, make_report, report
from learnable_smplify.errors import InputError
from learnable_smplify.fit_summary import summarise_fit
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.report.charts import Line, line_chart
from learnable_smplify.report.measures import acceleration, match_frames, mean_over, measure_fit
from learnable_smplify.report.pictures import _without_strays
from learnable_smplify.report.verdicts import headline, judge
from toy_motion import drifting_transl, swinging_poses

open_body = cache(load_body)
_VOID = {"meta", "img", "path", "rect"}


class Page(HTMLParser):
    """A page that is well formed: every tag is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.values: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.values += [value or "" for _, value in attrs]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def some_fit(frames: int = 40, noise_m: float = 0.0, fps: float = 30.0) -> tuple[Motion, Keypoints]:
    motion = Motion(swinging_poses(frames, fps=fps), drifting_transl(frames, fps), torch.zeros(10), fps, up_axis="y")
    points = open_body().keypoints(motion.pose, motion.betas, motion.transl, layout="body25")
    points = points + noise_m * torch.randn(points.shape, generator=torch.Generator().manual_seed(1))
    return motion, Keypoints(points, layout="body25", fps=fps)


def page_of(motion: Motion, keypoints: Keypoints | None, pictures: int = 0, title: str = "a.npz") -> Page:
    return Page(make_report(motion, keypoints, open_body(), title, pictures, print))


def test_the_errors_are_those_of_the_fits_own_summary():
    motion, keypoints = some_fit(noise_m=0.02)
    confidence = torch.ones(40, 25)
    confidence[5:12, 3:9] = 0
    keypoints = replace(keypoints, confidence=confidence)
    measured, summary = measure_fit(open_body(), motion, keypoints), summarise_fit(open_body(), motion, keypoints)
    assert np.nanmean(measured.error_mm) == pytest.approx(summary.mean_error_mm, abs=1e-3)
    groups = np.array(measured.layout.groups)
    for part, error in summary.group_error_mm.items():
        assert np.nanmean(measured.error_mm[:, groups == part]) == pytest.approx(error, abs=1e-3)
    assert list(measured.group_error_mm()) == ["head", "torso", "arms", "legs", "feet"]


def test_exact_keypoints_have_no_error_and_bones_that_keep_their_length():
    fit = measure_fit(open_body(), *some_fit())
    assert np.nanmax(fit.error_mm) < 0.01
    assert len(fit.bones) == 10
    for bone in fit.bones:
        assert bone.variation < 1e-3 or bone.name == "shoulder to shoulder"
        assert bone.median_m == pytest.approx(bone.fitted_m, rel=1e-4)
    np.testing.assert_allclose(fit.jitter[1:-1], fit.body_jitter[1:-1], atol=0.02)


def test_a_bone_that_changes_its_length_is_seen_to():
    motion, keypoints = some_fit(200)
    layout = load_layout("body25")
    elbow, wrist = layout.index("LElbow"), layout.index("LWrist")
    factor = 1 + 0.1 * torch.randn(200, generator=torch.Generator().manual_seed(0))
    points = keypoints.positions.clone()
    points[:, wrist] = points[:, elbow] + factor[:, None] * (points[:, wrist] - points[:, elbow])
    bones = {bone.name: bone for bone in measure_fit(open_body(), motion, replace(keypoints, positions=points)).bones}
    assert bones["left forearm"].variation == pytest.approx(0.1, abs=0.02)
    assert bones["right forearm"].variation < 1e-3


def test_acceleration_of_a_fall_is_gravity_and_gaps_are_not_jumps():
    time = np.arange(50) / 60
    points = np.zeros((50, 3, 3))
    points[:, :, 1] = -0.5 * 9.81 * time[:, None] ** 2
    np.testing.assert_allclose(acceleration(points, 60.0)[1:-1], 9.81, rtol=1e-9)
    seen = np.ones((50, 3), dtype=bool)
    points[20, 1], seen[20, 1] = 1e6, False
    points[30], seen[30] = 1e6, False
    result = acceleration(points, 60.0, seen)
    assert np.isnan(result[[0, 29, 30, 31, 49]]).all()
    np.testing.assert_allclose(result[np.isfinite(result)], 9.81, rtol=1e-9)


def test_keypoints_at_another_rate_are_compared_by_time_as_far_as_they_go():
    motion, keypoints = some_fit(40)
    slow = replace(keypoints, positions=keypoints.positions[:30:2], confidence=keypoints.confidence[:30:2], fps=15.0)
    frame, inside, notes = match_frames(motion, slow)
    assert frame[:5].tolist() == [0, 0, 1, 2, 2]
    assert inside.sum() == 30
    assert "put together by time" in notes[0]
    fit = measure_fit(open_body(), motion, slow)
    assert np.nanmax(fit.error_mm[:28:2]) < 0.01
    assert np.isnan(fit.error_mm[30:]).all()
    assert "put together by time" in page_of(motion, slow).text


def test_mean_over_passes_over_what_is_missing():
    values = np.array([[1.0, np.nan, 3.0], [np.nan] * 3])
    np.testing.assert_array_equal(mean_over(values), [2.0, np.nan])


def levels(motion: Motion, keypoints: Keypoints | None) -> dict[str, str]:
    fit = None if keypoints is None else measure_fit(open_body(), motion, keypoints)
    jitter = np.full(len(motion), 5.0)
    return {verdict.title: verdict.level for verdict in judge(motion, fit, jitter, 1.75)}


def test_a_good_fit_is_called_good_and_a_bad_one_is_not():
    motion, keypoints = some_fit()
    good = levels(motion, keypoints)
    assert set(good.values()) == {"good"}
    moved = replace(keypoints, positions=keypoints.positions + torch.tensor([0.2, 0.0, 0.0]))
    assert levels(motion, moved) == good | {"Distance from the keypoints": "poor", "Frames not trusted": "fair"}
    _, noisy = some_fit(noise_m=0.04)
    assert levels(motion, noisy)["Bone lengths in the keypoints"] == "poor"
    gone = replace(keypoints, confidence=(torch.rand(40, 25, generator=torch.Generator().manual_seed(0)) < 0.5).float())
    assert levels(motion, gone)["Keypoints seen"] == "poor"
    flagged = replace(motion, flagged=torch.arange(40) < 1)
    assert levels(flagged, keypoints)["Frames not trusted"] == "fair"
    unsure = replace(motion, uncertainty_deg=torch.full((40, 24), 40.0))
    assert levels(unsure, keypoints)["Network's uncertainty"] == "poor"


def test_a_motion_that_shakes_as_its_keypoints_do_is_told_so():
    motion, keypoints = some_fit(noise_m=0.02)
    shaking = replace(motion, transl=motion.transl + 0.05 * torch.randn(40, 3))
    assert levels(motion, keypoints)["Jitter"] == "good"
    assert levels(shaking, keypoints)["Jitter"] == "poor"


def test_a_part_that_is_off_is_named_beside_frames_that_are_all_trusted():
    motion, keypoints = some_fit()
    legs = torch.tensor([group == "legs" for group in load_layout(keypoints.layout).groups])
    off = replace(keypoints, positions=keypoints.positions + 0.057 * legs[:, None] * torch.tensor([1.0, 0, 0]))
    fit = measure_fit(open_body(), motion, off)
    flags = next(verdict for verdict in judge(motion, fit, fit.body_jitter, 1.75) if verdict.value.startswith("0 of"))
    assert flags.level == "fair"
    assert "legs 57 mm" in flags.sentence


def test_an_amber_jitter_says_what_it_is_compared_with():
    motion, keypoints = some_fit()
    fit = measure_fit(open_body(), motion, keypoints)
    lively = replace(fit, jitter=np.full(40, 18.0), body_jitter=np.full(40, 17.0))
    jitter = next(verdict for verdict in judge(motion, lively, fit.body_jitter, 1.75) if verdict.title == "Jitter")
    assert jitter.level == "fair"
    assert "stay below 10 m/s²" in jitter.sentence


def test_the_headline_names_what_is_not_good():
    motion, keypoints = some_fit()
    fit = measure_fit(open_body(), motion, keypoints)
    good = judge(motion, fit, fit.body_jitter, 1.75)
    assert headline(good) == "All 6 checks are good."
    assert "height of the body" in headline(judge(motion, fit, fit.body_jitter, 0.02))


def test_the_page_is_whole_loads_nothing_and_shows_pictures_and_charts():
    motion, keypoints = some_fit(noise_m=0.01)
    motion = replace(motion, flagged=torch.arange(40) // 5 == 2, uncertainty_deg=torch.rand(40, 24))
    page = page_of(motion, keypoints, pictures=2)
    assert page.tags["script"] == page.tags["link"] == page.tags["a"] == page.tags["iframe"] == 0
    images = [value for value in page.values if value.startswith("data:image/png;base64,")]
    assert len(images) == page.tags["img"] == 4  # two over the motion, and the two worst moments
    assert all(base64.b64decode(image.split(",", 1)[1]).startswith(b"\x89PNG") for image in images)
    assert not any(re.search(r"(https?:)?//|url\(", value) for value in page.values if value not in images)
    assert page.tags["svg"] == 5 + 10 + 1 + 1 + 1  # parts, bones, jitter, seen, uncertainty
    assert "0.33 s to 0.50 s" in page.text
    for words in ("Distance from the keypoints", "Bone lengths", "Jitter", "Confidence", "uncertainty", "LBigToe"):
        assert words in page.text
    assert "nan" not in " ".join(value for value in page.values if value not in images)
    assert not re.search(r"\bnan\b", page.text)


def test_names_from_files_cannot_become_markup():
    hostile = '<script>alert("x")</script>&amp;\'"'
    motion, keypoints = some_fit()
    layout = load_layout("body25")
    layout = replace(layout, name=hostile, title=hostile, keypoint_names=(hostile, *layout.keypoint_names[1:]))
    confidence = torch.ones(40, 25)
    confidence[:, 0] = 0
    keypoints = Keypoints(keypoints.positions, layout=layout, confidence=confidence, notes=(hostile,))
    html = make_report(replace(motion, body=hostile), keypoints, open_body(), hostile, 0, print)
    assert "<script" not in html
    page = Page(html)
    assert page.tags["script"] == 0
    assert (
        page.text.count('<script>alert("x")</script>&amp;') == 7
    )  # as words: title twice, layout, keypoint twice, ...


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("with_keypoints", [False, True])
def test_the_shortest_motions_have_a_report(frames, with_keypoints):
    motion, keypoints = some_fit(frames)
    page = page_of(motion, keypoints if with_keypoints else None, pictures=int(frames == 1))
    assert "Summary" in page.text
    assert not re.search(r"\bnan\b", page.text)
    assert not any("nan" in value for value in page.values if not value.startswith("data:"))


def test_keypoints_that_are_missing_nearly_everywhere_have_a_report():
    motion, keypoints = some_fit()
    confidence = torch.zeros(40, 25)
    confidence[3, 4] = 1
    page = page_of(motion, replace(keypoints, confidence=confidence), pictures=1)
    assert "Never measured" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_a_keypoint_far_away_does_not_make_the_person_tiny():
    motion, keypoints = some_fit(2)
    clip = motion_clip(motion, open_body(), keypoints)
    assert clip.keypoints is not None
    stray = clip.keypoints.copy()
    stray[1, 4] += 50.0
    cameras = [
        _without_strays(one).cameras(np.arange(2), view="front", size=(64, 64))
        for one in (clip, replace(clip, keypoints=stray))
    ]
    for usual, with_stray in zip(*cameras, strict=True):
        np.testing.assert_allclose(usual.position, with_stray.position, atol=0.2)


def test_stated_confidence_is_shown_and_none_is_not_made_up():
    motion, keypoints = some_fit()
    assert "states no confidence" in page_of(motion, keypoints).text
    page = page_of(motion, replace(keypoints, confidence=torch.full((40, 25), 0.4)))
    assert "mean 0.40" in page.text


def test_without_pillow_the_report_says_how_to_get_pictures(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    page = page_of(*some_fit(), pictures=4)
    assert page.tags["img"] == 0
    assert "learnable-smplify[render]" in page.text


def test_a_long_clip_makes_no_larger_charts():
    def size(frames: int) -> int:
        time = np.arange(frames) / 30
        return len(line_chart("a", [Line(time, np.random.default_rng(0).random(frames))], end_s=time[-1], unit="m"))

    assert size(100_000) < 1.2 * size(2000) < 60_000


def test_a_spike_between_the_points_of_a_long_chart_is_still_drawn():
    values = np.zeros(20_000)
    values[7777] = 10.0
    chart = line_chart("a", [Line(np.arange(20_000) / 60, values)], end_s=333.0, unit="m", top=10.0)
    (band,) = re.findall(r'class="band fitted" d="([^"]*)"', chart)
    assert min(float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", band)) == 0.0  # the top of the plot


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1e9) | st.just(np.nan)),
    end=st.sampled_from([0.0, 0.1, 7.3, 5000.0]),
)
def test_any_values_make_a_chart_without_nan(values, end):
    chart = line_chart("a", [Line(np.linspace(0, end, len(values)), values)], end_s=end, unit="mm")
    assert "nan" not in chart
    assert "inf" not in chart
    drawn = len(re.findall(r"[ML]\d", re.findall(r'class="line fitted" d="([^"]*)"', chart)[0]))
    assert drawn == np.isfinite(values).sum()
    assert 1 <= chart.split('class="scale"')[1].split("</div>")[0].count("<span") <= 6
    Page(chart)


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    motion, keypoints = some_fit(10)
    write_motion(motion, tmp_path / "in.npz")
    write_keypoints_npz(keypoints, tmp_path / "points.npz")
    return tmp_path / "in.npz", tmp_path / "points.npz"


def test_the_command_writes_one_file(files, tmp_path, capsys):
    report(ReportArgs(*files, output=tmp_path / "out" / "r.html", pictures=1))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["r.html"]
    assert Page((tmp_path / "out" / "r.html").read_text(encoding="utf-8")).tags["img"] >= 1
    assert "MB" in capsys.readouterr().out


def test_the_command_line_takes_motion_and_keypoints_in_this_order():
    args = tyro.cli(ReportArgs, args=["m.npz", "k.trc", "-o", "r.html"])
    assert (str(args.motion), str(args.keypoints), str(args.output)) == ("m.npz", "k.trc", "r.html")
    assert tyro.cli(ReportArgs, args=["m.npz"]).keypoints is None


def test_a_file_name_that_is_no_text_is_no_obstacle(files, tmp_path):
    odd = tmp_path / "bad\udcff<b>.npz"
    files[0].rename(odd)
    report(ReportArgs(odd, output=tmp_path / "r.html", pictures=0))
    assert "bad?<b>.npz" in Page((tmp_path / "r.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"output": "r.pdf"}, "html"),
        ({"motion": "none.npz"}, "no such file"),
        ({"keypoints": "none.trc"}, "none.trc"),
        ({"layout": "no_such_layout"}, "no_such_layout"),
        ({"pictures": -1}, "pictures"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_written(files, tmp_path, change, problem):
    given = {"motion": "in.npz", "keypoints": "points.npz", "output": "r.html"} | change
    paths = {key: tmp_path / given.pop(key) for key in ("motion", "keypoints", "output")}
    with pytest.raises(InputError, match=problem):
        report(ReportArgs(**paths, **given))
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_a_motion_of_a_licensed_body_is_not_measured_on_another_unasked(files, tmp_path):
    motion, _ = some_fit(10)
    write_motion(replace(motion, body="smplh"), files[0])
    with pytest.raises(InputError, match=r"smplh.*--body"):
        report(ReportArgs(*files, output=tmp_path / "r.html"))
    report(ReportArgs(*files, output=tmp_path / "r.html", body="open", pictures=0))
    assert "made for the body 'smplh'" in Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
