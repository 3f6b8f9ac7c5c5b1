"""What the checkpoint's authors recommend for sampling, and the tokens that end a reply.

Only what generation_config.json says is taken: transformers' own defaults (top-k 50) are not, since the
published DeepSeek-V3 files do not mean them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import CheckpointError, UsageError
from engine.options import GenerateOptions
from engine.text.files import read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """The sampling that holds where the user says nothing; greedy unless the file asks for sampling."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    eos_ids: tuple[int, ...] = ()
    """Tokens that end a reply, from generation_config.json, else from config.json."""

    @classmethod
    def load(cls, folder: Path) -> GenerationDefaults:
        """Read a checkpoint folder's generation_config.json; without one, greedy."""
        path = folder / "generation_config.json"
        data = read_object(path)
        eos_ids = _eos_ids(data, path)
        if not eos_ids:
            eos_ids = _eos_ids(read_object(folder / "config.json"), folder / "config.json")
        if data.get("do_sample") is not True:
            return cls(eos_ids=eos_ids)
        names = ("temperature", "top_p", "top_k", "min_p")
        values = {name: data[name] for name in names if data.get(name) is not None}
        try:
            # transformers samples at temperature 1 where do_sample stands without one
            options = GenerateOptions(temperature=1.0).changed(values)
        except UsageError as error:
            raise CheckpointError(f"{path}: {error} Mend or remove the file.") from None
        return cls(options.temperature, options.top_p, options.top_k, options.min_p, eos_ids)

    def options(self, values: Mapping[str, object] | None = None) -> GenerateOptions:
        """Return the options of a reply: these defaults, with what the user set in place of them."""
        options = GenerateOptions(
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, min_p=self.min_p
        )
        return options.changed(values or {})


def _eos_ids(data: Mapping[str, object], path: Path) -> tuple[int, ...]:
    value = data.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for each in ids:
        if not isinstance(each, int) or isinstance(each, bool) or each < 0:
            raise CheckpointError(f"{path}: eos_token_id holds {each!r}, which is no token id.")
    return tuple(dict.fromkeys(ids))
