"""The documented generator of random numbers, in Python's own whole numbers."""

ONE, MASK, STEP = 1 << 52, (1 << 64) - 1, 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


class Stream:
    """Numbers of one seed and stream."""

    def __init__(self, seed: int, number: int) -> None:
        self.state = mix(mix(seed + STEP & MASK) + number * STEP & MASK)

    def draw(self) -> int:
        self.state = self.state + STEP & MASK
        return mix(self.state)

    def uniform(self) -> float:
        return (self.draw() >> 11) * 2.0**-53
