"""The report as one HTML file that loads nothing: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib import resources

import numpy as np

from learnable_smplify.motion import Motion
from learnable_smplify.report.charts import Line, bar, line_chart
from learnable_smplify.report.measures import FitMeasures, mean_over
from learnable_smplify.report.pictures import Picture
from learnable_smplify.report.verdicts import Verdict, headline
from learnable_smplify.skeleton import JOINT_NAMES
from learnable_smplify.timeline import runs

_MOST_SPANS = 12
_SECURITY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, eq=False)
class Report:
    """What goes on the page.

    Args:
        title: usually the motion's file name.
        facts: pairs of words for the head of the page.
        motion: T frames.
        fit: the motion against its keypoints; None without keypoints.
        joint_jitter: (T,) acceleration of the body's joints [m/s^2].
        verdicts: the summary.
        moments: pictures over the whole motion.
        worst: pictures of where it is furthest from the keypoints.
        notes: lines from the readers.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    motion: Motion
    fit: FitMeasures | None
    joint_jitter: np.ndarray
    verdicts: list[Verdict]
    moments: Sequence[Picture] = ()
    worst: Sequence[Picture] = ()
    notes: tuple[str, ...] = ()


def write_page(report: Report) -> str:
    """The whole file. Every word that came from a file is escaped."""
    style = resources.files("learnable_smplify.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = [
        _summary(report),
        _pictures(report),
        _distances(report),
        _flagged(report),
        _bones(report),
        _jitter(report),
        _confidence(report),
        _uncertainty(report),
        _table(report),
        _notes(report),
    ]
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_SECURITY}">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(report.title)}: motion report</title><style>{style}</style></head><body><main>"
        f'<header><p class="kind">Motion report</p><h1>{escape(report.title)}</h1><dl>{facts}</dl></header>'
        f"{''.join(sections)}"
        "<footer>Written by learnable-smplify. This page is one file and loads nothing.</footer>"
        "</main></body></html>\n"
    )


def _section(title: str, explanation: str, content: str) -> str:
    """`explanation` and `content` are HTML."""
    return f"<section><h2>{escape(title)}</h2><p>{explanation}</p>{content}</section>"


def _summary(report: Report) -> str:
    cards = "".join(
        f'<article class="card {verdict.level}"><h3>{escape(verdict.title)}</h3>'
        f'<p class="number">{escape(verdict.value)} <span class="badge">{verdict.level}</span></p>'
        f"<p>{escape(verdict.sentence)}</p></article>"
        for verdict in report.verdicts
    )
    explanation = f"<strong>{escape(headline(report.verdicts))}</strong>"
    if report.fit is None:
        explanation += " Only the motion was given; with the keypoints it was made from, the report says much more."
    return _section("Summary", explanation, f'<div class="cards">{cards}</div>')


def _pictures(report: Report) -> str:
    if not report.moments:
        return ""
    dots = ""
    if report.fit is not None:
        dots = (
            ' The dots are the measured keypoints: <span class="dot left"></span> left, '
            '<span class="dot right"></span> right, <span class="dot middle"></span> middle of the body. '
            "They should lie on or in the body."
        )
    text = f"Moments evenly spread over the motion, seen from the front and a little from the side.{dots}"
    content = _gallery(report.moments)
    if report.worst:
        content += "<h3>Where body and keypoints are furthest apart</h3>" + _gallery(report.worst)
    return _section("What it looks like", text, content)


def _gallery(pictures: Sequence[Picture]) -> str:
    items = "".join(
        f'<figure><img alt="{escape(picture.caption, quote=True)}" '
        f'src="data:image/png;base64,{base64.b64encode(picture.png).decode("ascii")}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    return f'<div class="gallery">{items}</div>'


def _distances(report: Report) -> str:
    fit = report.fit
    if fit is None or not fit.seen.any():
        return ""
    parts = fit.group_error_mm()
    time = _times(report)
    top = _top(list(parts.values()))
    charts, chart = [], _chart(report)
    for number, (part, error) in enumerate(parts.items()):
        worst, last = int(np.nanargmax(error)), number == len(parts) - 1
        values = f"mean {np.nanmean(error):.0f} mm, worst {error[worst]:.0f} mm at {time[worst]:.2f} s"
        charts.append(chart(part.capitalize(), [Line(time, error)], unit="mm", values=values, top=top, times=last))
    text = (
        f"How far the body's points are from the measured ones{_beside(fit)}, for each part of the body; lower is "
        "better. All rows have the same scale. A part that is always far off is measured at another place than the "
        "body has it; a peak is a moment when the two disagree. The worst value is named, even where the line leaves "
        "its row."
        f"{_shade_legend(report)}"
    )
    return _section("Distance from the keypoints", text, "".join(charts))


def _beside(fit: FitMeasures) -> str:
    return "" if fit.stand_off_mm is None else " (of markers, from where they stand beside it)"


def _flagged(report: Report) -> str:
    motion = report.motion
    spans = runs(motion.flagged.cpu().numpy())
    if not spans:
        return _section("Frames not trusted", "None: every frame had enough keypoints, and a pose that fits them.", "")
    items = "".join(
        f"<li>{first / motion.fps:.2f} s to {end / motion.fps:.2f} s <small>({_frames(first, end - 1)})</small></li>"
        for first, end in spans[:_MOST_SPANS]
    )
    if len(spans) > _MOST_SPANS:
        items += f"<li>and {len(spans) - _MOST_SPANS} more</li>"
    text = (
        "In these frames keypoints were missing, were repaired, or fit no pose. The pose there is a guess: leave them "
        "out, or look at them before you use them."
    )
    return _section("Frames not trusted", text, f"<ul>{items}</ul>")


def _bones(report: Report) -> str:
    fit = report.fit
    if fit is None:
        return ""
    if not fit.bones:
        return _section("Bone lengths", "This layout measures no bone at both ends.", "")
    off = np.concatenate([np.abs(bone.measured_m / max(bone.fitted_m, 1e-6) - 1) for bone in fit.bones])
    reach = float(np.clip(1.2 * np.nanpercentile(off, 99), 0.1, 0.6))
    charts, chart = [], _chart(report)
    for number, bone in enumerate(fit.bones):
        charts.append(
            chart(
                bone.name.capitalize(),
                [Line(_times(report), 100 * bone.measured_m, "measured")],
                unit="cm",
                values=f"measured {100 * bone.median_m:.1f} cm ± {100 * bone.variation:.1f} %, "
                f"body {100 * bone.fitted_m:.1f} cm",
                bottom=100 * bone.fitted_m * (1 - reach),
                top=100 * bone.fitted_m * (1 + reach),
                level=100 * bone.fitted_m,
                height=48,
                times=number >= len(fit.bones) - 2,
            )
        )
    text = (
        'The length of each bone in the <span class="key measured"></span> measured keypoints, and on the '
        '<span class="key level"></span> fitted body, where it never changes. A real bone does not change either, '
        f"so ups and downs are errors of the recording. Every row shows {100 * reach:.0f} % above and below the body's."
    )
    return _section("Bone lengths", text, f'<div class="pairs">{"".join(charts)}</div>')


def _jitter(report: Report) -> str:
    time, fit = _times(report), report.fit
    if not np.isfinite(report.joint_jitter).any():
        return ""
    if fit is None:
        lines = [Line(time, report.joint_jitter)]
        text = "How fast the body's joints change their speed. Noise shows as a high, ragged line."
    else:
        lines = [Line(fit.time_s, fit.jitter, "measured"), Line(time, fit.body_jitter)]
        text = (
            'How fast points change their speed: <span class="key measured"></span> the measured keypoints, '
            '<span class="key fitted"></span> the same points of the fitted body. Noise shows as a high, ragged line; '
            "the body's should be the lower one. A peak in both is a quick movement or a jump in the recording."
        )
    top = _top([line.values for line in lines])
    means = [float(np.nanmean(line.values)) for line in lines if np.isfinite(line.values).any()]
    names = ("body",) if fit is None or len(means) < 2 else ("keypoints", "body")
    values = ", ".join(f"{name} {mean:.1f} m/s²" for name, mean in zip(names, means, strict=False))
    chart = _chart(report)("Mean acceleration", lines, unit="m/s²", values=values, top=top, height=150)
    return _section("Jitter", text + _shade_legend(report), chart)


def _confidence(report: Report) -> str:
    fit = report.fit
    if fit is None:
        return ""
    measured = fit.seen.any(axis=0)
    if not measured.any():
        return ""
    time = _times(report)
    seen = 100 * fit.seen[:, measured].mean(axis=1)
    chart, values = _chart(report), f"mean {seen.mean():.1f} %"
    charts = chart("Keypoints seen", [Line(time, seen)], unit="%", values=values, top=100.0)
    stated = fit.confidence[fit.seen]
    if bool((np.abs(stated - 1) > 1e-6).any()):
        confidence = mean_over(np.where(fit.seen, fit.confidence, np.nan))
        values, top = f"mean {stated.mean():.2f} (0 is lost, 1 is sure)", max(1.0, float(np.nanmax(confidence)))
        charts += chart("Confidence of those seen", [Line(time, confidence)], unit="", values=values, top=top)
        text = (
            "How many of the keypoints that this recording measures are there, and how sure the detector was of them. "
            "The fit counts a keypoint by its confidence."
        )
    else:
        text = (
            "How many of the keypoints that this recording measures are there. The file states no confidence, so every "
            "keypoint that is there counts in full."
        )
    return _section("Confidence", text, charts)


def _uncertainty(report: Report) -> str:
    uncertainty = report.motion.uncertainty_deg
    if uncertainty is None or not bool(uncertainty.isfinite().any()):
        text = (
            "The motion states none: it was not made by the network, or its file does not keep what the network said."
        )
        return _section("The network's uncertainty", text, "")
    values = uncertainty.cpu().numpy().astype(np.float64)
    mean = mean_over(values)
    line, told = Line(_times(report), mean), f"mean {np.nanmean(mean):.1f}°"
    chart = _chart(report)("Mean over the joints", [line], unit="°", values=told)
    joints = mean_over(values.T)
    order = [int(joint) for joint in np.argsort(-np.nan_to_num(joints))[:8] if np.isfinite(joints[joint])]
    most = max(float(joints[order[0]]), 1e-6)
    rows = "".join(
        f"<tr><td>{JOINT_NAMES[joint].replace('_', ' ')}</td><td>{bar(joints[joint] / most)}</td>"
        f"<td>{joints[joint]:.1f}°</td></tr>"
        for joint in order
    )
    text = (
        "How far the network thinks a joint may be turned wrongly (one standard deviation), before the keypoints "
        "corrected it. High values are poses it has rarely seen, or joints that no keypoint shows."
    )
    table = f'<h3>Least sure of</h3><table class="bars"><tbody>{rows}</tbody></table>'
    return _section("The network's uncertainty", text, chart + table)


def _table(report: Report) -> str:
    fit = report.fit
    if fit is None:
        return ""
    rows = []
    most = max((float(np.nanmean(column)) for column in fit.error_mm.T if np.isfinite(column).any()), default=1.0)
    for index, name in enumerate(fit.layout.keypoint_names):
        start = f"<td>{escape(name)}</td><td>{100 * fit.seen[:, index].mean():.0f} %</td>"
        error = fit.error_mm[:, index]
        if not np.isfinite(error).any():
            rows.append(f'<tr>{start}<td colspan="4">never measured</td></tr>')
            continue
        mean = float(np.nanmean(error))
        rows.append(
            f"<tr>{start}<td>{mean:.1f}</td><td>{bar(mean / max(most, 1e-6))}</td>"
            f"<td>{np.nanpercentile(error, 95):.1f}</td><td>{np.nanmax(error):.1f}</td></tr>"
        )
    head = "<tr><th>keypoint</th><th>seen</th><th>mean [mm]</th><th></th><th>95 % below</th><th>worst</th></tr>"
    text = f"Distance of every single keypoint from the same point of the body{_beside(fit)}."
    content = f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    return _section("Every keypoint", text, f"<details><summary>Show the table</summary>{content}</details>")


def _notes(report: Report) -> str:
    if not report.notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return _section("Notes", "What was assumed or converted on the way.", f"<ul>{items}</ul>")


def _times(report: Report) -> np.ndarray:
    return np.arange(len(report.motion)) / report.motion.fps


def _chart(report: Report) -> partial[str]:
    """`line_chart` over the time of the motion, with the frames shaded that are not trusted."""
    return partial(line_chart, end_s=(len(report.motion) - 1) / report.motion.fps, flagged=_shaded(report))


def _shaded(report: Report) -> list[tuple[float, float]]:
    fps = report.motion.fps
    return [((first - 0.5) / fps, (end - 0.5) / fps) for first, end in runs(report.motion.flagged.cpu().numpy())]


def _shade_legend(report: Report) -> str:
    return ' <span class="key flagged"></span> marks frames that are not trusted.' if _shaded(report) else ""


def _top(series: Sequence[np.ndarray]) -> float:
    """The end of a scale that all of `series` share; one lone spike does not press the rest flat."""
    values = np.concatenate([part[np.isfinite(part)] for part in series])
    if not len(values):
        return 1.0
    usual, largest = float(np.percentile(values, 99)), float(values.max())
    return max(1.05 * min(largest, 2 * usual), 1e-3)


def _frames(first: int, last: int) -> str:
    return f"frame {first}" if first == last else f"frames {first} to {last}"
