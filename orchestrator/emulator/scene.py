"""A painted seascape: sky, light, hills, sea and something that stands in it."""

from __future__ import annotations

import colorsys
import math
from random import Random
from typing import TypeAlias

from PIL import Image, ImageChops, ImageDraw

from orchestrator.emulator.chance import chance

Colour: TypeAlias = tuple[int, int, int]

MOODS: dict[str, tuple[float, float, float]] = {
    "night": (0.64, 0.60, 0.26),
    "moon": (0.62, 0.52, 0.36),
    "dusk": (0.78, 0.42, 0.62),
    "sunset": (0.96, 0.50, 0.80),
    "dawn": (0.92, 0.28, 0.92),
    "morning": (0.56, 0.30, 0.96),
    "fog": (0.55, 0.10, 0.86),
    "snow": (0.58, 0.16, 0.95),
    "rain": (0.58, 0.28, 0.60),
    "storm": (0.68, 0.30, 0.42),
    "forest": (0.40, 0.34, 0.78),
    "summer": (0.54, 0.52, 0.95),
}
"""Hue, saturation and brightness of the upper sky for words that a prompt may hold."""

SUBJECTS = {
    "lighthouse": ("lighthouse", "tower", "beacon"),
    "boat": ("boat", "ship", "sail", "harbour", "harbor", "regatta"),
    "pines": ("tree", "pine", "forest", "island"),
    "house": ("house", "village", "cottage", "barn", "town"),
}
"""What stands in the scene, and the words that call for it."""


class Scene:
    """One scene, painted layer by layer from the back to the front.

    Args:
        width: Pixels.
        height: Pixels.
        prompt: Chooses colours and subject, by its words or else by chance that depends on it alone.
        composition: Places the large things.
        details: Places the small ones.
    """

    def __init__(self, width: int, height: int, prompt: str, composition: Random, details: Random) -> None:
        self.width, self.height = width, height
        self.unit = min(width, height) / 100
        self.composition, self.details = composition, details
        dice = chance(prompt)
        text = prompt.lower()
        hue, saturation, value = next(
            (mood for word, mood in MOODS.items() if word in text),
            (dice.random(), dice.uniform(0.3, 0.6), dice.uniform(0.6, 0.95)),
        )
        self.subject = next(
            (name for name, words in SUBJECTS.items() if any(word in text for word in words)),
            dice.choice(list(SUBJECTS)),
        )
        self.dark = value < 0.5
        self.sky = hsv(hue, saturation, value)
        self.glow = hsv(dice.uniform(0.02, 0.14), 0.35 if self.dark else 0.55, min(1.0, value + 0.25))
        self.land = hsv(hue + dice.uniform(-0.12, 0.12), min(0.6, saturation + 0.15), value * 0.38)
        self.horizon = round(height * composition.uniform(0.52, 0.68))
        self.sun = (composition.uniform(0.2, 0.8) * width, self.horizon - composition.uniform(0.08, 0.38) * height)
        self.side = composition.choice((-1, 1))

    def paint(self) -> Image.Image:
        """Return the finished scene."""
        picture = gradient(self.width, self.height, [self.sky, mix(self.sky, self.glow, 0.45), self.glow, self.glow])
        picture = self._shine(picture)
        pen = ImageDraw.Draw(picture)
        self._scatter(pen)
        for depth in range(3):
            self._ridge(pen, depth)
        self._sea(picture)
        getattr(self, f"_{self.subject}")(ImageDraw.Draw(picture))
        return picture

    def _shine(self, picture: Image.Image) -> Image.Image:
        """Put the sun or the moon into the sky, and its light around it."""
        x, y = self.sun
        reach = round(self.unit * self.composition.uniform(60, 100))
        light = ImageChops.invert(Image.radial_gradient("L")).resize((reach * 2, reach * 2)).point(_soften)
        bright = mix(self.glow, (255, 250, 235), 0.7)
        picture.paste(bright, (round(x) - reach, round(y) - reach), light)
        radius = self.unit * self.composition.uniform(5, 10)
        ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 248, 228))
        return picture

    def _scatter(self, pen: ImageDraw.ImageDraw) -> None:
        """Strew stars over a dark sky, clouds and gulls over a bright one."""
        for _ in range(60 if self.dark else 0):
            x, y = self.details.uniform(0, self.width), self.details.uniform(0, self.horizon * 0.8)
            size = self.unit * self.details.uniform(0.15, 0.5)
            pen.ellipse((x - size, y - size, x + size, y + size), fill=mix(self.sky, (255, 255, 245), 0.85))
        for _ in range(0 if self.dark else 4):
            x, y = self.details.uniform(0, self.width), self.details.uniform(0.05, 0.5) * self.horizon
            for puff in range(6):
                wide, high = self.unit * self.details.uniform(5, 12), self.unit * self.details.uniform(1, 2)
                left = x + (puff - 3) * self.unit * 5
                pen.ellipse((left - wide, y - high, left + wide, y + high), fill=mix(self.glow, (255, 255, 255), 0.5))
        for _ in range(0 if self.dark else 5):
            x, y = self.details.uniform(0.1, 0.9) * self.width, self.details.uniform(0.1, 0.7) * self.horizon
            wing = self.unit * self.details.uniform(1.2, 3)
            stroke = [(x - wing, y - wing * 0.5), (x, y), (x + wing, y - wing * 0.5)]
            pen.line(stroke, fill=self.land, width=max(1, round(self.unit * 0.5)), joint="curve")

    def _ridge(self, pen: ImageDraw.ImageDraw, depth: int) -> None:
        """Draw a line of hills, the farther the paler; they fall to the sea on the side that faces it."""
        height = self.height * self.composition.uniform(0.06, 0.2) * (1.15 - depth * 0.3)
        waves = [(self.composition.uniform(0.5, 5.0), self.composition.uniform(0, math.tau)) for _ in range(4)]
        reach = self.composition.uniform(0.3, 1.0)
        points = [(0.0, float(self.horizon))]
        for step in range(65):
            share = step / 64
            shape = sum(math.sin(share * rate * math.tau + phase) / (n + 1.5) for n, (rate, phase) in enumerate(waves))
            from_side = share if self.side < 0 else 1 - share
            fall = max(0.0, 1 - from_side / reach) ** 0.6
            points.append((share * self.width, self.horizon - max(0.0, (0.9 + shape * 0.6) * height * fall)))
        points.append((float(self.width), float(self.horizon)))
        pen.polygon(points, fill=mix(self.glow, self.land, 0.3 + depth * 0.25))

    def _sea(self, picture: Image.Image) -> None:
        """Lay the sea over the lower part: the sky upside down, darker, with glints below the light."""
        depth = self.height - self.horizon
        colours = [mix(self.glow, self.sky, 0.35), mix(self.sky, self.land, 0.35), mix(self.sky, self.land, 0.75)]
        picture.paste(gradient(self.width, depth, colours), (0, self.horizon))
        pen = ImageDraw.Draw(picture)
        bright = mix(self.glow, (255, 250, 235), 0.55)
        for _ in range(150):
            share = self.details.random() ** 1.4
            y = self.horizon + share * depth
            glint = self.details.random() < 0.55
            spread = self.unit * (6 + share * 22) if glint else self.width / 2
            x = (self.sun[0] if glint else self.width / 2) + self.details.uniform(-1, 1) * spread
            length = self.unit * self.details.uniform(1, 4 + share * 9)
            colour = bright if glint else mix(self.sky, self.land, self.details.uniform(0.3, 0.9))
            pen.line((x - length, y, x + length, y), fill=colour, width=max(1, round(self.unit * (0.25 + share * 0.7))))

    def _rock(self, pen: ImageDraw.ImageDraw, x: float, base: float, wide: float) -> None:
        high = wide * 0.28
        edge = [
            (
                x + wide * math.cos(angle / 8 * math.pi) * self.details.uniform(0.85, 1.05),
                base - high * math.sin(angle / 8 * math.pi) * self.details.uniform(0.8, 1.2),
            )
            for angle in range(9)
        ]
        pen.polygon(edge, fill=mix(self.land, (20, 20, 30), 0.35))

    def _spot(self, nearness: float) -> tuple[float, float, float]:
        """Return where the subject stands (x, y) and its measure in pixels."""
        x = self.width * (0.5 - self.side * self.composition.uniform(0.05, 0.28))
        return x, self.horizon + (self.height - self.horizon) * nearness, self.unit * self.composition.uniform(0.8, 1.2)

    def _lighthouse(self, pen: ImageDraw.ImageDraw) -> None:
        x, base, unit = self._spot(0.12)
        self._rock(pen, x, base + unit * 3, unit * 18)
        foot, top, high = unit * 4.2, unit * 2.8, unit * 42
        crown = base - high
        if self.dark or self.sky[2] > self.sky[0]:
            beam = mix(self.sky, (255, 244, 200), 0.55)
            reach = self.width * self.side
            pen.polygon([(x, crown - unit), (x + reach, crown - unit * 20), (x + reach, crown + unit * 14)], fill=beam)
        for band in range(5):
            low, up = band / 5, (band + 1) / 5
            left, right = foot + (top - foot) * low, foot + (top - foot) * up
            colour = (240, 236, 226) if band % 2 else (190, 52, 46)
            shape = [(x - left, base - high * low), (x + left, base - high * low)]
            pen.polygon([*shape, (x + right, base - high * up), (x - right, base - high * up)], fill=colour)
        pen.rectangle((x - top * 1.3, crown - unit, x + top * 1.3, crown), fill=(40, 40, 52))
        pen.rectangle((x - top * 0.8, crown - unit * 4.5, x + top * 0.8, crown - unit), fill=(255, 236, 150))
        pen.polygon(
            [(x - top * 1.1, crown - unit * 4.5), (x + top * 1.1, crown - unit * 4.5), (x, crown - unit * 8)],
            fill=(190, 52, 46),
        )

    def _boat(self, pen: ImageDraw.ImageDraw) -> None:
        x, base, unit = self._spot(0.32)
        hull = mix(self.land, (120, 40, 30), 0.5)
        sail = mix((250, 244, 230), self.glow, self.composition.uniform(0.0, 0.5))
        lean = unit * self.composition.uniform(-2, 2)
        pen.line((x, base, x + lean, base - unit * 40), fill=self.land, width=max(1, round(unit * 0.8)))
        pen.polygon(
            [(x + unit, base - unit * 3), (x + lean + unit, base - unit * 38), (x + unit * 17, base - unit * 5)],
            fill=sail,
        )
        pen.polygon(
            [(x - unit, base - unit * 4), (x + lean - unit, base - unit * 33), (x - unit * 12, base - unit * 6)],
            fill=mix(sail, self.land, 0.2),
        )
        pen.polygon(
            [
                (x - unit * 17, base - unit * 3),
                (x + unit * 19, base - unit * 3.5),
                (x + unit * 13, base + unit * 3),
                (x - unit * 12, base + unit * 3),
            ],
            fill=hull,
        )

    def _pines(self, pen: ImageDraw.ImageDraw) -> None:
        x, base, unit = self._spot(0.22)
        self._rock(pen, x, base + unit * 3, unit * 30)
        for _ in range(7):
            stem, foot = x + unit * self.details.uniform(-20, 20), base - unit * self.details.uniform(0, 4)
            high, wide = unit * self.details.uniform(16, 34), unit * self.details.uniform(4, 7)
            shade = mix(self.land, hsv(self.details.uniform(0.32, 0.45), 0.5, 0.35), 0.5)
            for tier in range(4):
                low, up = foot - high * tier / 5, foot - high * (tier + 2) / 5
                reach = wide * (1 - tier / 5)
                pen.polygon(
                    [(stem - reach, low), (stem + reach, low), (stem, up)], fill=mix(shade, self.glow, tier / 14)
                )

    def _house(self, pen: ImageDraw.ImageDraw) -> None:
        x, base, unit = self._spot(0.1)
        self._rock(pen, x, base + unit * 5, unit * 34)
        for number in range(4):
            left, foot = x + unit * (number * 13 - 27), base - unit * self.details.uniform(0, 3)
            wide, high = unit * self.details.uniform(9, 12), unit * self.details.uniform(8, 15)
            wall = hsv(self.details.uniform(0.0, 0.15), self.details.uniform(0.2, 0.65), 0.6 if self.dark else 0.85)
            pen.rectangle((left, foot - high, left + wide, foot), fill=wall)
            pen.polygon(
                [
                    (left - unit, foot - high),
                    (left + wide + unit, foot - high),
                    (left + wide / 2, foot - high - unit * 6),
                ],
                fill=mix(wall, self.land, 0.75),
            )
            pane = (255, 226, 140) if self.dark or self.details.random() < 0.4 else self.land
            pen.rectangle((left + wide * 0.35, foot - high * 0.65, left + wide * 0.65, foot - high * 0.35), fill=pane)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return a colour as red, green and blue (0 to 255) for a hue that wraps around at 1 and shares from 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour on the way from `one` to `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def gradient(width: int, height: int, colours: list[Colour]) -> Image.Image:
    """Return an area that runs through `colours` from its top to its bottom."""
    strip = Image.frombytes("RGB", (1, len(colours)), bytes(part for colour in colours for part in colour))
    return strip.resize((width, height), Image.Resampling.BICUBIC)


def _soften(value: int) -> float:
    """Let light fade with the square of the distance."""
    return value * value / 255
