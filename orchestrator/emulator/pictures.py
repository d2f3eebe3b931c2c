"""Pictures for outputs, a pure function of what was asked for; plain ones where only their number of bytes matters."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from orchestrator.emulator.chance import chance
from orchestrator.emulator.scene import Scene

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def draw(parameters: Mapping[str, Any], sample: int, longest_side: int | None) -> bytes:
    """Draw a picture.

    The prompt chooses colours and subject, the seed and the sample the composition, the scheduler the manner, `steps`
    how fine and `scale` how vivid it is; everything else changes details.

    Args:
        parameters: All parameters of the run, defaults filled in.
        sample: Which of the run's outputs this is, from 0.
        longest_side: Pixels of the longer side, or None for the size that was asked for.

    Returns:
        A PNG, the same bytes for the same arguments.
    """
    width, height = _size(parameters, longest_side)
    composition = chance(f"{parameters.get('seed')}:{sample}")
    details = chance(json.dumps([parameters, sample], sort_keys=True))
    scene = Scene(width * 2, height * 2, str(parameters.get("prompt", "")), composition, details)
    picture = scene.paint().resize((width, height), Image.Resampling.BOX)
    picture = _manner(parameters)(picture)
    picture = ImageEnhance.Color(picture).enhance(0.5 + 0.12 * _number(parameters, "scale", 4.0, 0.0, 14.0))
    roughness = 1 / _number(parameters, "steps", 40.0, 1.0, 1000.0)
    picture = picture.filter(ImageFilter.GaussianBlur(min(4.0, roughness * 10)))
    picture = _grain(picture, details, 0.03 + min(0.4, roughness * 1.5))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def plain(identity: str, size: int) -> bytes:
    """Make a small picture that is padded to a number of bytes: quick, valid and distinct, not pretty.

    Args:
        identity: Tells one file from another.
        size: How many bytes to make; below `LEAST_PLAIN_BYTES` it is that many.

    Returns:
        A PNG of one pixel, its colour and the start of its padding chosen by `identity`.
    """
    digest = hashlib.sha256(identity.encode()).digest()
    head = SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    tail = _chunk(b"IDAT", zlib.compress(b"\0" + digest[:3], 0)) + _chunk(b"IEND", b"")
    return head + _chunk(b"raNd", digest + bytes(max(0, size - LEAST_PLAIN_BYTES))) + tail


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)))


LEAST_PLAIN_BYTES = 8 + 25 + (12 + 32) + (12 + 15) + 12
"""Signature, header, padding with its digest, one uncompressed pixel, end."""


def _number(parameters: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    return min(most, max(least, float(parameters.get(name, default))))


def _size(parameters: Mapping[str, Any], longest_side: int | None) -> tuple[int, int]:
    width = _number(parameters, "width", 1024, 16, 8192)
    height = _number(parameters, "height", 1024, 16, 8192)
    shrink = 1.0 if longest_side is None else min(1.0, longest_side / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _grain(picture: Image.Image, dice: Random, amount: float) -> Image.Image:
    """Lay the noise over a picture that its last steps did not take away; one pixel of noise covers four."""
    width, height = (picture.width + 1) // 2, (picture.height + 1) // 2
    noise = Image.frombytes("L", (width, height), dice.randbytes(width * height)).resize(picture.size)
    return Image.blend(picture, ImageChops.soft_light(picture, Image.merge("RGB", (noise,) * 3)), amount)


def _manner(parameters: Mapping[str, Any]) -> Callable[[Image.Image], Image.Image]:
    """Return the brush that belongs to a scheduler (or to the like of it in other models)."""
    choice = str(parameters.get("scheduler") or parameters.get("manner") or "EulerDiscreteScheduler")
    if choice not in MANNERS:
        return MANNERS[chance(choice).choice(list(MANNERS))]
    return MANNERS[choice]


def _ink_wash(picture: Image.Image) -> Image.Image:
    grey = ImageOps.posterize(ImageOps.grayscale(picture).filter(ImageFilter.GaussianBlur(1)), 3)
    return Image.blend(picture, ImageOps.colorize(grey, (30, 34, 52), (250, 244, 230)), 0.75)


def _tiles(picture: Image.Image) -> Image.Image:
    small = picture.resize((max(1, picture.width // 4), max(1, picture.height // 4)), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.NEAREST)


def _oil(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.ModeFilter(5)).filter(ImageFilter.EDGE_ENHANCE)


def _print(picture: Image.Image) -> Image.Image:
    return ImageOps.posterize(picture, 3)


def _pencil(picture: Image.Image) -> Image.Image:
    lines = ImageOps.invert(ImageOps.grayscale(picture).filter(ImageFilter.FIND_EDGES)).filter(ImageFilter.SMOOTH)
    return ImageChops.multiply(
        Image.blend(picture, Image.new("RGB", picture.size, (250, 246, 236)), 0.6), Image.merge("RGB", (lines,) * 3)
    )


def _dream(picture: Image.Image) -> Image.Image:
    return ImageChops.screen(picture, picture.filter(ImageFilter.GaussianBlur(6))).point(lambda value: value * 0.85)


MANNERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "EulerDiscreteScheduler": lambda picture: picture,
    "DDIMScheduler": _ink_wash,
    "LMSDiscreteScheduler": _oil,
    "DPMSolverMultistepScheduler": _tiles,
    "PNDMScheduler": _print,
    "DDPMScheduler": _pencil,
    "EulerAncestralDiscreteScheduler": _dream,
}
