"""`Viewer`: a motion in the browser, through viser. What is drawn comes from the other files of this folder."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from learnable_smplify.errors import InputError, MissingExtraError, some
from learnable_smplify.motion import direction_vector
from learnable_smplify.timeline import run_names
from learnable_smplify.view.clock import Clock, matching_frames, next_run
from learnable_smplify.view.dots import Dots
from learnable_smplify.view.figure import Figure
from learnable_smplify.view.heat import RGB, scale_top_deg
from learnable_smplify.view.origin import only_own_page
from learnable_smplify.view.panel import SPEEDS, Panel
from learnable_smplify.view.puppet import Looks, Puppet
from learnable_smplify.view.stage import set_stage, turn_wxyz

if TYPE_CHECKING:
    from viser import GuiButtonGroupHandle, GuiEvent, ViserServer

FIRST_COLOR: RGB = (150, 168, 188)
SECOND_COLOR: RGB = (205, 172, 118)
_LINE_COLOR: RGB = (96, 100, 108)
_DEFAULT_PORT = 8080
# Looks for something to draw this often [s]; screens seldom show more.
_PERIOD = 1 / 60


class Viewer:
    """A web page that shows one motion, its keypoints and a second motion. Use it in a `with` statement.

    Args:
        figure: whom to show.
        up: the direction that is up, one of `stage.DIRECTIONS`.
        title: lines about what is shown.
        dots: keypoints at the figure's frames, in its world.
        second: another motion, shown beside, by time.
        second_up: the direction that is up in the second's world; it is turned to agree.
        host: address to listen on; the default can be reached from this machine only.
        port: port to listen on; None takes 8080 or the next free one.

    Raises:
        MissingExtraError: viser is not installed.
        InputError: the address or port cannot be listened on.
    """

    def __init__(
        self,
        figure: Figure,
        *,
        up: str,
        title: str = "",
        dots: Dots | None = None,
        second: Figure | None = None,
        second_up: str | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self._figure, self._dots, self._second = figure, dots, second
        self._second_up = second_up or up
        self._second_frames: Int[np.ndarray, "T"] | None = None
        if second is not None:
            self._second_frames = matching_frames(len(figure), figure.motion.fps, len(second), second.motion.fps)
        self._flagged = figure.motion.flagged.cpu().numpy()
        self.clock = Clock(len(figure), figure.motion.fps, playing=len(figure) > 1)
        # Callbacks come from viser's threads.
        self._lock = threading.RLock()
        self._changed = True
        self._shown_frame = -1

        self.server = _serve(host, port)
        try:
            self._build(up, title)
        except BaseException:  # Ctrl-C too: nothing stays behind
            self._stop()
            raise

    @property
    def url(self) -> str:
        """Where the page is."""
        host = self.server.get_host()
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{self.server.get_port()}"

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def run(self, until: threading.Event | None = None) -> None:
        """Show frame after frame until the event is set, or for ever (Ctrl-C)."""
        stop = until or threading.Event()
        while not stop.is_set():
            self.tick(time.monotonic())
            stop.wait(_PERIOD)

    def tick(self, now: float) -> None:
        """Draw what belongs on the screen at the time `now` [s], if that has changed."""
        with self._lock:
            frame = self.clock.tick(now)
            if frame == self._shown_frame and not self._changed:
                return
            self._changed = False
            self._shown_frame = frame
            self.draw(frame)

    def draw(self, frame: int) -> None:
        """Send one frame to the browsers."""
        panel = self._panel
        heat = self._heat_top_deg if panel.heat.value else None
        looks = Looks(panel.body.value, panel.skeleton.value, panel.opacity.value, heat)
        with self.server.atomic():
            if panel.up.value != self._up:
                self._set_up(panel.up.value)
            if panel.follow.value:
                self._stage_node.position = -self._stage.path[frame]
            self._ground.visible = panel.ground.value
            self._puppet.show(frame, looks)
            self._draw_dots(frame)
            self._draw_second(frame, looks)
            panel.frame.value = frame  # type: ignore[misc]  # viser defines the setter apart from the getter
            panel.play.label = "Pause" if self.clock.playing else "Play"
            panel.tell(self._status(frame))

    def _build(self, up: str, title: str) -> None:
        scene = self.server.scene
        scene.configure_environment_map("studio", environment_intensity=0.25)
        self._stage_node = scene.add_frame("/stage", show_axes=False)
        self._second_node = scene.add_frame("/stage/second", show_axes=False)
        self._ground = scene.add_grid(
            "/stage/ground",
            infinite_grid=True,
            cell_size=0.5,
            section_size=1.0,
            cell_color=(222, 224, 228),
            section_color=(196, 200, 206),
            plane_color=(244, 245, 247),
            plane_opacity=1.0,
            shadow_opacity=0.25,
            fade_distance=14.0,
        )
        self._puppet = Puppet(scene, "/stage", self._figure, FIRST_COLOR)
        self._second_puppet = (
            None if self._second is None else Puppet(scene, "/stage/second", self._second, SECOND_COLOR)
        )
        if self._dots is not None:
            points, colors = self._dots.points(0)
            self._dots_node = scene.add_point_cloud(
                "/stage/keypoints", points, colors, point_size=0.028, point_shape="circle", precision="float32"
            )
            self._lines_node = scene.add_line_segments(
                "/stage/keypoint_lines", self._dots.segments(0), _LINE_COLOR, thickness=1.5, thickness_units="screen"
            )
        self._heat_top_deg = _heat_top([self._figure] if self._second is None else [self._figure, self._second])
        self._panel = Panel(
            self.server.gui,
            title=title,
            frames=len(self._figure),
            up=up,
            flagged=some(run_names(self._flagged), 12),
            heat_top_deg=self._heat_top_deg,
            keypoints=self._dots is not None,
            second=self._second is not None,
            changed=self._mark_changed,
        )
        self._listen()
        self._set_up(up)

    def _stop(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # viser says goodbye on its own
            self.server.stop()

    def _draw_dots(self, frame: int) -> None:
        if self._dots is None:
            return
        self._dots_node.visible = self._lines_node.visible = self._panel.keypoints.value
        if self._panel.keypoints.value:
            self._dots_node.points, self._dots_node.colors = self._dots.points(frame)
            self._lines_node.points = self._dots.segments(frame)

    def _draw_second(self, frame: int, looks: Looks) -> None:
        if self._second is None or self._second_puppet is None or self._second_frames is None:
            return
        other = int(self._second_frames[frame])
        if other < 0:
            self._second_puppet.hide()
            return
        self._second_node.position = self._stage.shift(self._panel.placing, frame, self._second_stage, other)
        self._second_puppet.show(other, looks)

    def _status(self, frame: int) -> list[str]:
        fps = self._figure.motion.fps
        lines = [f"{frame / fps:.2f} s of {len(self._figure) / fps:.2f} s"]
        if self._dots is not None:
            lines.append(self._dots.caption(frame))
        if self._second_frames is not None and self._second_frames[frame] < 0:
            lines.append("the second motion has ended")
        if self._flagged[frame]:
            lines.append("flagged: the solver does not trust this frame")
        return lines

    def _set_up(self, up: str) -> None:
        """Turn the room so that `up` is up, and the cameras with it."""
        self._up = up
        self._stage = set_stage(self._figure, up)
        aside = None
        if self._second is not None:
            self._second_stage = set_stage(self._second, self._second_up).turned(self._second_up, up)
            self._second_node.wxyz = turn_wxyz(self._second_up, up)
            aside = self._stage.aside(self._second_stage)
        self._ground.wxyz = turn_wxyz("z", up)
        self._ground.position = self._stage.path[0] @ self._stage.up * self._stage.up
        self.server.scene.set_up_direction(direction_vector(up))
        position, target, fov = self._stage.camera(aside)
        camera = self.server.initial_camera
        camera.position, camera.look_at, camera.up, camera.fov = position, target, self._stage.up, fov
        for client in self.server.get_clients().values():
            client.camera.up_direction = self._stage.up
            client.camera.position, client.camera.look_at = position, target

    def _listen(self) -> None:
        panel, clock = self._panel, self.clock

        @panel.frame.on_update
        def _(event: GuiEvent) -> None:
            if event.client is not None:  # moved by the user, not by `draw`
                with self._lock:
                    clock.seek(int(panel.frame.value))

        @panel.play.on_click
        def _(_: GuiEvent) -> None:
            with self._lock:
                clock.playing = not clock.playing
                self._changed = True

        @panel.step.on_click
        def _(event: GuiEvent[GuiButtonGroupHandle]) -> None:
            with self._lock:
                clock.step(int(event.target.value))
                self._changed = True

        @panel.speed.on_update
        def _(_: GuiEvent) -> None:
            with self._lock:
                clock.speed = SPEEDS[panel.speed.value]

        if panel.next_flagged is not None:

            @panel.next_flagged.on_click
            def _(_: GuiEvent) -> None:
                with self._lock:
                    clock.playing = False
                    clock.seek(next_run(self._flagged, clock.frame) or 0)
                    self._changed = True

    def _mark_changed(self) -> None:
        with self._lock:
            self._changed = True


def _serve(host: str, port: int | None) -> ViserServer:
    try:
        import viser
    except ImportError as error:
        raise MissingExtraError("viser", "view", "lsmplify view") from error
    # viser looks for a port that is free without end; what cannot work is told here.
    if port is not None and not 0 < port < 65536:
        raise InputError(f"the port is {port}", expected="1 to 65535", hint=f"--port {_DEFAULT_PORT}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen on {host}" + ("" if port is None else f", port {port}") + f" ({reason})",
            expected="an address of this machine and a free port",
            hint="leave --host and --port away",
        ) from error
    with (
        only_own_page(host),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # it prints a banner; the command says where the page is
        server = viser.ViserServer(host, _DEFAULT_PORT if port is None else port, label="lsmplify view", verbose=False)
    if port is not None and server.get_port() != port:  # taken in between
        server.stop()
        raise InputError(f"port {port} is taken", expected="a free port", hint="leave --port away")
    return server


def _heat_top(figures: list[Figure]) -> float | None:
    told = [one.motion.uncertainty_deg for one in figures if one.motion.uncertainty_deg is not None]
    values = [value.cpu().numpy() for value in told if bool(value.isfinite().any())]
    return max(map(scale_top_deg, values)) if values else None
