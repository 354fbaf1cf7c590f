"""The renderer: geometry against closed forms, and files that open again."""

from __future__ import annotations

import builtins
import importlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.render.camera import Camera, fit_camera, follow_cameras, up_vector
from learnable_smplify.render.clip import Clip
from learnable_smplify.render.film import film
from learnable_smplify.render.frame import render_frame
from learnable_smplify.render.light import depth_maps
from learnable_smplify.render.overlay import LEFT_COLOR, MIDDLE_COLOR, RIGHT_COLOR, keypoint_colors
from learnable_smplify.render.raster import rasterise
from learnable_smplify.render.sheet import contact_sheet


def _sphere(radius: float = 0.5, rings: int = 40, centre: tuple[float, float, float] = (0, 0, 0)):
    polar = np.linspace(0, np.pi, rings + 1)[:, None]
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    sine, height = np.sin(polar), np.cos(polar) + 0 * around
    points = np.stack([sine * np.sin(around), height, sine * np.cos(around)], axis=-1).reshape(-1, 3)
    row, column = np.divmod(np.arange(rings * 2 * rings), 2 * rings)
    a, b = row * 2 * rings + column, row * 2 * rings + (column + 1) % (2 * rings)
    c, d = a + 2 * rings, b + 2 * rings
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return points * radius + np.array(centre), faces


def _straight_camera(distance: float = 3.0) -> Camera:
    """On +Z, looking along -Z, Y up, 40 degrees high."""
    return Camera(np.array([0, 0, distance]), np.diag([1.0, -1.0, -1.0]), np.deg2rad(40.0), np.array([0, 1.0, 0]))


def _covered(image: np.ndarray, empty: np.ndarray) -> np.ndarray:
    return (np.abs(image.astype(int) - empty.astype(int)).max(axis=2)) > 6


def test_a_spheres_silhouette_is_the_circle_that_projection_predicts():
    points, faces = _sphere()
    camera, size = _straight_camera(), (200, 200)
    empty = render_frame(None, faces, camera, size=size)
    covered = _covered(render_frame(points, faces, camera, size=size), empty)
    # A sphere of radius r at distance d shows as a circle of focal * r / sqrt(d^2 - r^2).
    radius = camera.focal(200) * 0.5 / np.sqrt(3.0**2 - 0.5**2)
    assert covered.sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    rows, columns = np.nonzero(covered)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((100, 100), abs=0.3)


def test_a_sphere_is_brighter_where_the_key_light_stands():
    points, faces = _sphere()
    image = render_frame(points, faces, _straight_camera(), size=(200, 200)).astype(float).mean(axis=2)
    upper_left, lower_right = image[80, 80], image[120, 120]
    assert upper_left > lower_right + 30


def test_machine_code_and_numpy_draw_the_same_picture(monkeypatch):
    pytest.importorskip("numba")
    sphere, faces = _sphere()
    camera = fit_camera(sphere, up_axis="y")
    dots = np.array([[0.0, 0.1, 0.6], [0.2, 0.0, 0.0]])

    def drawn():
        return render_frame(
            sphere, faces, camera, keypoints=dots, edges=[(0, 1)], floor_height=-0.5, size=(96, 120)
        ).astype(int)

    compiled = drawn()
    for room in ("raster", "light", "ground", "frame"):
        monkeypatch.setattr(f"learnable_smplify.render.{room}.has_numba", lambda: False)
    difference = np.abs(compiled - drawn())
    assert difference.max() <= 3
    assert (difference > 0).mean() < 0.01


def test_a_mesh_wound_inside_out_looks_the_same():
    points, faces = _sphere(rings=16)
    camera = _straight_camera()
    one = render_frame(points, faces, camera, size=(64, 64))
    other = render_frame(points, faces[:, ::-1], camera, size=(64, 64))
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 2


def test_vertex_normals_of_a_sphere_point_outward():
    points, faces = _sphere()
    normals = vertex_normals(points, faces)
    inner = np.abs(points[:, 1]) < 0.45
    assert ((normals * points).sum(axis=1)[inner] / 0.5 > 0.995).all()


def test_a_keypoint_is_drawn_where_the_camera_projects_it():
    _, faces = _sphere(0.05)
    camera = fit_camera(np.array([[-1, 0, -1], [1, 2, 1.0]]), forward=np.array([0.3, 0, 1]), size=(160, 120))
    target = np.array([[0.4, 1.3, -0.2]])
    empty = render_frame(None, faces, camera, size=(160, 120))
    image = render_frame(None, faces, camera, keypoints=target, keypoint_colors=[LEFT_COLOR], size=(160, 120))
    rows, columns = np.nonzero(_covered(image, empty))
    column, row, _ = camera.project(target, (160, 120))[0]
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((column, row), abs=0.6)


def test_a_mesh_vertex_and_a_keypoint_at_its_place_land_on_the_same_pixels():
    points, faces = _sphere(0.04, rings=12, centre=(0.5, 0.3, -0.2))
    camera, size = _straight_camera(), (160, 160)
    covered = _covered(render_frame(points, faces, camera, size=size), render_frame(None, faces, camera, size=size))
    rows, columns = np.nonzero(covered)
    column, row, _ = camera.project(np.array([[0.5, 0.3, -0.2]]), size)[0]
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((column, row), abs=0.6)


def test_the_nearer_of_two_bodies_hides_the_other_whatever_their_order():
    near, faces = _sphere(0.3, rings=16, centre=(0, 0, 0.5))
    far, _ = _sphere(0.3, rings=16, centre=(0, 0, -0.5))
    camera = _straight_camera()
    red, blue = (220, 40, 40), (40, 40, 220)
    one = render_frame(np.stack([near, far]), faces, camera, color=[red, blue], size=(64, 64))[32, 32].astype(int)
    other = render_frame(np.stack([far, near]), faces, camera, color=[blue, red], size=(64, 64))[32, 32].astype(int)
    assert one[0] > one[2] + 40
    assert np.abs(one - other).max() <= 1


def test_a_keypoint_inside_the_body_shows_through_and_one_before_it_shows_fully():
    points, faces = _sphere()
    camera = _straight_camera()
    plain = render_frame(points, faces, camera, size=(100, 100))[50, 50].astype(int)

    def centre_pixel(z: float) -> np.ndarray:
        image = render_frame(
            points, faces, camera, keypoints=[[0, 0, z]], keypoint_colors=[RIGHT_COLOR], size=(100, 100)
        )
        return image[50, 50].astype(int)

    inside, before = centre_pixel(0.0), centre_pixel(0.6)
    assert plain[2] > inside[2] + 20 > before[2] + 40


def test_missing_keypoints_and_their_bones_are_not_drawn():
    _, faces = _sphere(rings=8)
    camera = _straight_camera()
    dots = np.array([[0, 0, 0], [np.nan] * 3])
    alone = render_frame(None, faces, camera, keypoints=dots[:1], size=(64, 64))
    assert (render_frame(None, faces, camera, keypoints=dots, edges=[(0, 1)], size=(64, 64)) == alone).all()


def test_the_rasteriser_agrees_with_a_test_of_every_pixel_against_every_triangle():
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.uniform(-4, 28, (30, 2)), rng.uniform(1, 5, (30, 1))], axis=1).astype(np.float32)
    faces = rng.permutation(30).reshape(10, 3)
    fragments = rasterise(points, faces, (24, 20))
    nearest = np.full(24 * 20, np.inf)
    for a, b, c in points[faces].astype(float):
        matrix = np.array([[b[0] - a[0], c[0] - a[0]], [b[1] - a[1], c[1] - a[1]]])
        for pixel in range(24 * 20):
            u, v = np.linalg.solve(matrix, [pixel % 24 + 0.5 - a[0], pixel // 24 + 0.5 - a[1]])
            if u >= 0 and v >= 0 and u + v <= 1:
                nearest[pixel] = min(nearest[pixel], a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]))
    assert (fragments.pixel == np.flatnonzero(np.isfinite(nearest))).all()
    np.testing.assert_allclose(fragments.depth, nearest[fragments.pixel], rtol=1e-4)
    corners = points[faces[fragments.face]][..., :2]
    centre = np.einsum("pc,pci->pi", fragments.weights, corners)
    expected = np.stack([fragments.pixel % 24 + 0.5, fragments.pixel // 24 + 0.5], axis=1)
    np.testing.assert_allclose(centre, expected, atol=1e-3)


def test_a_point_behind_a_sphere_is_in_its_shadow_and_one_beside_it_is_not():
    points, faces = _sphere()
    maps = depth_maps(points, faces, np.array([[0, 1.0, 0], [1.0, 0, 0]]))
    seen = maps.visibility(np.array([[0, -2, 0], [0.8, -2, 0], [0, 2, 0], [-2, 0, 0.0]]))
    assert seen.tolist() == [[0, 1, 1, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize("up_axis", ["x", "y", "z", None])
@pytest.mark.parametrize("view", ["front", "three-quarter", "side"])
def test_a_fitted_camera_sees_every_point_and_wastes_no_room(up_axis, view):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)) + 5
    camera = fit_camera(points, up_axis=up_axis, view=view, size=(300, 200))
    np.testing.assert_allclose(camera.R_camera_world @ camera.R_camera_world.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.R_camera_world) == pytest.approx(1)
    pixels = camera.project(points, (300, 200))
    assert (pixels[:, 2] > 0).all()
    low, high = pixels[:, :2].min(axis=0), pixels[:, :2].max(axis=0)
    # 7 per cent are left free at each border.
    assert (low >= [21 - 1e-6, 14 - 1e-6]).all()
    assert (high <= [279 + 1e-6, 186 + 1e-6]).all()
    assert np.isclose([*(low - [21, 14]), *([279, 186] - high)], 0, atol=1e-6).sum() >= 2
    above = camera.project(points.mean(axis=0) + 0.1 * up_vector(up_axis), (300, 200))
    assert above[1] < camera.project(points.mean(axis=0), (300, 200))[1]


def test_the_persons_left_is_on_the_right_of_a_front_view():
    camera = fit_camera(np.array([[-1, 0, 0], [1, 2, 0.0]]), forward=np.array([0, 0, 1]), view="front")
    assert camera.project(np.array([0.5, 1, 0]), (100, 100))[0] > 50


def test_a_following_camera_keeps_a_walker_in_the_middle_and_a_still_one_sees_the_whole_way():
    points, _ = _sphere(rings=6)
    walk = points + np.linspace(0, 4, 30)[:, None, None] * np.array([1.0, 0, 0])
    for follow, widest in ((None, 0.5), (False, 99.0)):
        cameras = follow_cameras(walk, size=(100, 100), follow=follow)
        middle = [c.project(w.mean(axis=0), (100, 100))[0] for c, w in zip(cameras, walk, strict=True)]
        assert np.ptp(middle) <= widest + 0.5
        pixels = np.stack([c.project(w, (100, 100)) for c, w in zip(cameras, walk, strict=True)])
        assert pixels[..., :2].min() >= 0
        assert pixels[..., :2].max() <= 100
    assert np.ptp(middle) > 30


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"vertices": np.full((4, 3), np.nan)}, "NaN"),
        ({"vertices": np.zeros((4, 2))}, "shape"),
        ({"faces": np.array([[0, 1, 99]])}, "vertex 99"),
        ({"keypoints": np.zeros((4, 2))}, "shape"),
        ({"size": (0, 10)}, "size"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, problem):
    given = {"vertices": np.eye(4, 3), "faces": np.array([[0, 1, 2]]), "keypoints": None, "size": (32, 32)} | change
    with pytest.raises(InputError, match=problem):
        render_frame(
            given["vertices"], given["faces"], _straight_camera(), keypoints=given["keypoints"], size=given["size"]
        )


def test_an_unknown_view_or_axis_and_a_cloud_without_points_are_refused():
    for options in ({"view": "above"}, {"up_axis": "w"}):
        with pytest.raises(InputError, match="Expected"):
            fit_camera(np.zeros((2, 3)), **options)
    with pytest.raises(InputError, match="finite"):
        fit_camera(np.full((2, 3), np.nan))


def test_colours_tell_left_from_right_from_middle():
    layout = load_layout("body25")
    colors = keypoint_colors(layout)
    assert colors.shape == (25, 3)
    assert tuple(colors[layout.index("LWrist")]) == LEFT_COLOR
    assert tuple(colors[layout.index("RWrist")]) == RIGHT_COLOR
    assert tuple(colors[layout.index("Nose")]) == MIDDLE_COLOR


@pytest.fixture
def clip() -> Clip:
    points, faces = _sphere(0.3, rings=8)
    rise = np.abs(np.sin(np.linspace(0, 3, 12)))[:, None, None] * np.array([0, 0.5, 0])
    dots = rise + np.array([[0.4, 0, 0], [0, 0.4, 0]])
    dots[5, 0] = np.nan
    return Clip(points + rise, faces, fps=24.0, keypoints=dots, edges=[(0, 1)], flagged=np.arange(12) == 11)


def test_a_contact_sheet_has_the_grid_that_was_asked_for(clip, tmp_path):
    path = tmp_path / "sheet.png"
    page = contact_sheet(clip, path, frames=6, size=(60, 80), caption="a ball " * 40)
    with Image.open(path) as image:
        assert (np.asarray(image) == page).all()
    wider = contact_sheet(clip, frames=6, size=(60, 80), views=("front", "side"), caption="a ball")
    assert 3 * 60 < page.shape[1] < 3 * 60 + 90
    assert 2 * 80 < page.shape[0] < 2 * 80 + 90
    assert wider.shape[1] == page.shape[1]
    assert wider.shape[0] - page.shape[0] in range(2 * 80, 2 * 80 + 30)


def test_a_clip_shorter_than_the_sheet_shows_each_frame_once(clip):
    short = Clip(clip.vertices[:2], clip.faces)
    page = contact_sheet(short, frames=10, size=(60, 80))
    assert page.shape[1] < 2 * 60 + 60


def test_keypoints_are_drawn_alone_of_a_body_in_many_colours(clip):
    painted = replace(clip, color=np.linspace(0, 255, clip.vertices.shape[1])[:, None].repeat(3, axis=1))
    camera = clip.cameras(np.zeros(1, int), view="front", size=(32, 32))[0]
    one, other = (
        each.picture(0, camera, panel="keypoints", floor_height=0.0, size=(32, 32)) for each in (clip, painted)
    )
    assert (one == other).all()


def test_a_gif_opens_again_with_every_frame_and_the_true_speed(clip, tmp_path):
    path = tmp_path / "film.gif"
    count = film(clip, path, fps=12.5, size=(48, 56))
    with Image.open(path) as image:
        assert image.size == (48, 56)
        durations = []
        for number in range(image.n_frames):
            image.seek(number)
            durations.append(image.info["duration"])
    # Equal neighbours may be stored as one longer frame; the time must be that of 12 frames at 24 fps.
    assert sum(durations) == pytest.approx(500, abs=80)
    assert count == 6


def test_an_mp4_opens_again_with_every_frame_and_even_sides(clip, tmp_path):
    import imageio_ffmpeg

    path = tmp_path / "film.mp4"
    assert film(clip, path, size=(47, 55), panels=("keypoints", "body")) == 12
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    assert meta["size"] == (96, 56)
    assert meta["fps"] == 24
    assert len(list(reader)) == 12


def test_a_film_can_be_cut_short(clip, tmp_path):
    assert film(clip, tmp_path / "film.gif", frames=3, size=(32, 32)) == 3


def test_a_file_that_cannot_be_written_is_refused_and_nothing_is_left(clip, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    for write in (lambda path: contact_sheet(clip, path, frames=1, size=(32, 32)), lambda path: film(clip, path)):
        with pytest.raises(InputError, match="cannot write"):
            write(blocked / "out.gif")
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.parametrize(
    "options", [{"path": "film.avi"}, {"fps": 0.0}, {"frames": 0}, {"panels": ()}, {"panels": ("nothing",)}]
)
def test_options_a_film_cannot_have_are_refused(clip, tmp_path, options):
    path = tmp_path / options.pop("path", "film.gif")
    with pytest.raises(InputError, match="Expected"):
        film(clip, path, size=(32, 32), **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named_with_the_command_that_installs_it(clip, tmp_path, monkeypatch):
    def without(name: str, *args: object) -> object:
        if name.split(".")[0] in ("PIL", "imageio_ffmpeg"):
            raise ImportError(name)
        return real(name, *args)

    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    for call in (
        lambda: contact_sheet(clip, tmp_path / "a.png"),
        lambda: film(clip, tmp_path / "a.gif"),
        lambda: film(clip, tmp_path / "a.mp4"),
    ):
        with pytest.raises(MissingExtraError, match=r"learnable-smplify\[render\]"):
            call()


def test_a_clip_with_a_nan_vertex_names_the_frame():
    vertices = np.zeros((5, 3, 3))
    vertices[3, 1, 2] = np.nan
    with pytest.raises(InputError, match="frame 3"):
        Clip(vertices, np.array([[0, 1, 2]]))


def test_importing_the_renderer_does_not_import_pillow(monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "PIL" or "smplify.render" in name]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def guarded(name: str, *args: object, **kwargs: object) -> object:
        assert name.split(".")[0] not in ("PIL", "imageio_ffmpeg"), name
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    for module in ("frame", "clip", "sheet", "film", "overlay"):
        importlib.import_module(f"learnable_smplify.render.{module}")
