"""`Panel`: the viewer's buttons, as viser shows them, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from learnable_smplify.view.heat import legend_html
from learnable_smplify.view.stage import DIRECTIONS, PLACINGS, Placing

if TYPE_CHECKING:
    from viser import GuiApi, GuiEvent

SPEEDS: dict[str, float] = {"0.1×": 0.1, "0.25×": 0.25, "0.5×": 0.5, "1×": 1.0, "2×": 2.0, "4×": 4.0}
# How solid the body is where something inside it is to be seen.
_SEE_THROUGH = 0.6


class Panel:
    """The controls. Handles hold their own values; `changed` is called after the user has moved one.

    Args:
        gui: where to add them.
        title: lines about what is shown.
        frames: number of frames.
        up: the direction that is up at first.
        flagged: in words, which frames are flagged; "" for none.
        heat_top_deg: top of the uncertainty's scale [deg]; None where there is none to show.
        keypoints: whether there are any.
        second: whether there is a second motion.
        changed: called with no argument.
    """

    def __init__(
        self,
        gui: GuiApi,
        *,
        title: str,
        frames: int,
        up: str,
        flagged: str,
        heat_top_deg: float | None,
        keypoints: bool,
        second: bool,
        changed: Callable[[], None],
    ) -> None:
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(0, 104, 140))
        gui.add_html(_small(title))
        with gui.add_folder("Time"):
            self.frame = gui.add_slider("Frame", min=0, max=max(frames - 1, 1), step=1, initial_value=0)
            self.status = gui.add_html("")
            self.play = gui.add_button("Pause")
            self.step = gui.add_button_group("Step", ("-10", "-1", "+1", "+10"))
            self.speed = gui.add_dropdown("Speed", tuple(SPEEDS), initial_value="1×")
            self.next_flagged = None
            if flagged:
                gui.add_html(_small(f"flagged: {flagged}"))
                self.next_flagged = gui.add_button("Next flagged")
        with gui.add_folder("Show"):
            self.body = gui.add_checkbox("Body", True)
            self.opacity = gui.add_slider(
                "Opacity", min=0.1, max=1.0, step=0.05, initial_value=_SEE_THROUGH if keypoints else 1.0
            )
            self.skeleton = gui.add_checkbox("Skeleton", True, hint="Seen where the body is off or not solid.")
            self.keypoints = gui.add_checkbox("Keypoints", keypoints, disabled=not keypoints)
            self.heat = gui.add_checkbox(
                "Uncertainty",
                False,
                disabled=heat_top_deg is None,
                hint="Colours the body (then solid) by how sure the network is of each joint's rotation."
                if heat_top_deg is not None
                else "This motion carries no uncertainty: it was not made with a network.",
            )
            if heat_top_deg is not None:
                gui.add_html(legend_html(heat_top_deg))
            self.second = gui.add_dropdown(
                "Second",
                PLACINGS,
                initial_value=PLACINGS[0],
                visible=second,
                hint="Where the second stands: kept beside the first, where its file says, or in one point.",
            )
        with gui.add_folder("Room"):
            self.follow = gui.add_checkbox("Follow", True, hint="Keeps the person in view: the room moves instead.")
            self.ground = gui.add_checkbox("Ground", True)
            self.up = gui.add_dropdown("Up", DIRECTIONS, initial_value=up, hint="Which axis of the file points up.")

        def forward(_: GuiEvent) -> None:
            changed()

        switches = (self.body, self.skeleton, self.keypoints, self.heat, self.follow, self.ground)
        for handle in (*switches, self.opacity, self.second, self.up):
            handle.on_update(forward)

    @property
    def placing(self) -> Placing:
        """Where the second motion is to stand."""
        return next(placing for placing in PLACINGS if placing == self.second.value)

    def tell(self, lines: list[str]) -> None:
        """Show lines below the slider."""
        self.status.content = _small("\n".join(lines))


def _small(text: str) -> str:
    return '<div style="font-size: 0.75em; padding: 0 0.9em 0.4em">' + escape(text).replace("\n", "<br>") + "</div>"
