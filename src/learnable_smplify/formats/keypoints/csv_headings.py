"""What the headings of a table of keypoints mean: which keypoint, which axis, which frame, which person."""

from __future__ import annotations

import re

CONFIDENCE_WORDS = ("c", "conf", "confidence", "score", "visibility", "likelihood", "presence", "prob", "probability")
_PART = "|".join(("x", "y", "z", *CONFIDENCE_WORDS))
_COLUMN = re.compile(rf"(?P<name>.+?)[_. :-](?P<part>{_PART})", re.IGNORECASE)  # nose_x, nose.x, nose:x
# nose_tx, Hips.Xposition, and ('nose', 'x') as pandas makes one line of two
_WORDED = re.compile(r"(?P<name>.+?)[_. :-](t|pos|trans)?(?P<part>[xyz])(pos|position|trans)?", re.IGNORECASE)
_PAIR = re.compile(rf"\('(?P<name>[^']+)', '(?P<part>{_PART})'\)", re.IGNORECASE)
_CAPITAL = re.compile(r"(?P<name>.*[a-z0-9])(?P<part>[XYZ])")  # noseX
_IN_FRONT = re.compile(r"(?P<part>[xyz]|visibility)[_. ](?P<name>.+)", re.IGNORECASE)  # x_nose
_NUMBERED = re.compile(r"(?P<part>[xyzvc])[_. ]?(?P<name>\d+)", re.IGNORECASE)  # x12
# nose_world_x: in space, where nose_x may be in the picture
WORLD = re.compile(r"[_. ]world(?=[_. ]|$)", re.IGNORECASE)
_POSITION = re.compile(r"[_. ](world_?)?(position|pos|translation|location)$", re.IGNORECASE)
_OTHER_QUANTITY = re.compile(
    r"[_. ](rotation|rot|quat|quaternion|orientation|velocity|vel|acceleration|acc)$", re.IGNORECASE
)
_NUMBER = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")
# Heading of the time of a frame, without its unit: "time_ms" and "Time (s)" are it too.
TIME = re.compile(
    r"(time|times|t|timestamp|seconds|time ?stamp|zeit|temps|tiempo|tempo)"
    r"[_ ]?[(\[]?(s|sec|seconds|ms|msec|us|usec|ns|nsec)?[)\]]?",
    re.IGNORECASE,
)
_SECONDS = {"m": 1e-3, "u": 1e-6, "n": 1e-9, "s": 1.0}
# A column of three that stands for one axis, where nothing parts it from the name or brackets do: Nosex, Nose[0].
_ONE_OF_THREE = re.compile(r"(?P<name>.+?)[_. (\[-]*(?P<part>[xyz012])[)\]]?", re.IGNORECASE)
FRAME_WORDS = (
    "frame",
    "frames",
    "frame_num",
    "frame_no",
    "frame_number",
    "frame_id",
    "frame_idx",
    "frame_index",
    "frame#",
    "fnum",
    "image",
)
_NAME_WORDS = ("keypoint", "landmark", "marker", "joint", "bodypart", "trajectory", "point", "name", "label")
PERSON_WORDS = (
    *("person", "person_id", "personid", "person_name", "subject", "subject_id", "subject_name", "track_id", "trackid"),
    *("body_id", "bodyid", "player", "player_id", "player_name", "actor", "actor_id", "skeleton", "skeleton_id"),
    *("user_id", "userid", "id"),
)
_FEWEST_NUMBERED = 8
_FEWEST_THREES = 4


def name_column(column: dict[str, int]) -> int | None:
    """Which column of a table with a line a keypoint says the keypoint."""
    return next(
        (column[w + end] for w in _NAME_WORDS for end in ("", "_name", "_id", "_index") if w + end in column), None
    )


def part_of(heading: str) -> tuple[str, str] | None:
    """The keypoint that a column is about, and "x", "y", "z" or "c"; None for columns of other kinds."""
    for pattern in (_PAIR, _COLUMN, _WORDED, _CAPITAL, _NUMBERED, _IN_FRONT):
        if match := pattern.fullmatch(heading):
            name, part = match["name"].strip(), match["part"].lower()
            name = WORLD.sub("", _POSITION.sub("", name))
            if _OTHER_QUANTITY.search(name):
                return None
            return name, part if part in "xyz" else "c"
    return None


def threes(header: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Keypoints whose three columns end in x, y, z or 0, 1, 2 in whatever way; {} where there are only a few."""
    found: dict[str, dict[str, int]] = {}
    for column, heading in enumerate(header):
        if match := _ONE_OF_THREE.fullmatch(heading):
            part = match["part"].lower()
            found.setdefault(match["name"], {})["xyz"[int(part)] if part.isdigit() else part] = column
    whole = {name: parts for name, parts in found.items() if len(parts) == 3}
    return whole if len(whole) >= _FEWEST_THREES else {}


def in_order(names: list[str]) -> list[int] | None:
    """Where the keypoints are that names call 0, 1, 2, ... or 1, 2, 3, ...; None where the names are names."""
    found = [_NUMBER.fullmatch(name) for name in names]
    numbers = [int(match["number"]) for match in found if match is not None]
    prefixes = {match["prefix"] for match in found if match is not None}
    first = min(numbers, default=-1)
    if len(numbers) != len(names) or len(names) < _FEWEST_NUMBERED or len(prefixes) > 1 or first not in (0, 1):
        return None
    place = {number: column for column, number in enumerate(numbers)}
    wanted = range(first, first + len(names))
    return [place[number] for number in wanted] if set(wanted) == set(place) else None


def time_scale(heading: str) -> float | None:
    """What the unit in a heading of times is in seconds; None where there is none."""
    match = TIME.fullmatch(heading)
    return None if match is None or match[2] is None else _SECONDS[match[2][0].lower()]
