"""Two pairs of Ed25519 keys as the settings take them, private and public: those of RFC 8032's first two examples."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    private: str
    public: str


PAIR = Pair(
    "ed25519-private:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
    "ed25519-public:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
)
OTHER_PAIR = Pair(
    "ed25519-private:TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=",
    "ed25519-public:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
)
