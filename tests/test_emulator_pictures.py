"""Pictures: the same for the same wish, others for others."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageChops, ImageStat

from orchestrator.emulator.models import find_model
from orchestrator.emulator.pictures import LEAST_PLAIN_BYTES, MANNERS, draw, plain

DEFAULTS = find_model("Hevok", "Studio-Trigger").with_defaults({"prompt": "a lighthouse at dusk"})


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert picture.format == "PNG"
    return picture


def difference(one: bytes, other: bytes) -> float:
    """Return how far two pictures are apart, 0 to 255."""
    bands = ImageStat.Stat(ImageChops.difference(opened(one), opened(other))).mean
    return sum(bands) / len(bands)


def test_the_same_wish_gives_the_same_bytes() -> None:
    assert draw(DEFAULTS, 0, 64) == draw(dict(reversed(DEFAULTS.items())), 0, 64)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a harbour in fog"},
        {"seed": "7"},
        {"steps": 5},
        {"scale": "9"},
        *({"scheduler": scheduler} for scheduler in MANNERS if scheduler != DEFAULTS["scheduler"]),
    ],
)
def test_another_wish_looks_otherwise(change: dict[str, Any]) -> None:
    assert difference(draw(DEFAULTS, 0, 96), draw(DEFAULTS | change, 0, 96)) > 4


def test_samples_look_otherwise_and_small_changes_change_bytes() -> None:
    assert difference(draw(DEFAULTS, 0, 96), draw(DEFAULTS, 1, 96)) > 4
    assert draw(DEFAULTS, 0, 64) != draw(DEFAULTS | {"negativePrompt": "blurry"}, 0, 64)


@pytest.mark.parametrize(
    ("width", "height", "side", "size"),
    [(1024, 768, 256, (256, 192)), (512, 1024, 64, (32, 64)), (80, 48, 256, (80, 48)), (96, 32, None, (96, 32))],
)
def test_proportions_are_kept(width: int, height: int, side: int | None, size: tuple[int, int]) -> None:
    assert opened(draw(DEFAULTS | {"width": width, "height": height}, 0, side)).size == size


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {
            "prompt": st.text(),
            "seed": st.text(),
            "steps": st.integers(1, 1000),
            "scale": st.floats(0, 1e6),
            "width": st.integers(16, 8192),
            "height": st.integers(16, 8192),
        }
    )
)
def test_any_wish_is_drawn(wish: dict[str, Any]) -> None:
    assert max(opened(draw(wish, 0, 24)).size) <= 24


@given(st.integers(0, 50_000))
def test_plain_pictures_have_the_size_that_is_asked_for(size: int) -> None:
    content = plain("a", size)
    assert len(content) == max(size, LEAST_PLAIN_BYTES)
    assert opened(content).size == (1, 1)
    assert content != plain("b", size)
