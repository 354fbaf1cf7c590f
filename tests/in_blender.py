"""Run by a Python that has Blender's module `bpy`: opens a GLB or BVH and writes where its bones are.

python in_blender.py FILE FPS FRAMES OUTPUT.npz
"""

from __future__ import annotations

import sys

import bpy
import numpy as np


def opened(path: str) -> bpy.types.Object:
    """The armature of a file, in an empty scene that plays at the file's own rate."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if path.endswith(".glb"):
        bpy.ops.import_scene.gltf(filepath=path)
    else:
        bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=True, update_scene_duration=True)
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def main() -> None:
    path, fps, frames, output = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    armature, scene = opened(path), bpy.context.scene
    first = armature.animation_data.action.frame_range[0]
    rate = scene.render.fps / scene.render.fps_base
    heads = []
    for frame in range(frames):
        time = first + frame * rate / fps + 1e-6
        scene.frame_set(int(time), subframe=time - int(time))
        heads.append([list((armature.matrix_world @ bone.matrix).translation) for bone in armature.pose.bones])
    mesh = max((len(thing.data.vertices) for thing in bpy.data.objects if thing.type == "MESH"), default=0)
    np.savez(output, heads=heads, names=[bone.name for bone in armature.pose.bones], vertices=mesh)


if __name__ == "__main__":
    main()
