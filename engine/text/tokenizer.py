"""The checkpoint's own tokenizer: tokenizer.json through the `tokenizers` library.

`decode` leaves special tokens out, as the streaming detokenizer does, so the two agree on every sequence of
ids; `piece` is for showing a single token, special ones by their name.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

import tokenizers

from engine.errors import CheckpointError, UsageError
from engine.text.detokenizer import Detokenizer, build_stages
from engine.text.files import read_object, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NO_TOKENIZER = (
    "This checkpoint has no tokenizer.json, so only token ids can be given (--ids 5,6,7); "
    "put the tokenizer.json that was published with it into its folder to chat."
)

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_CONTROL_SHAPE = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
_LIBRARY_IDS = range(1 << 32)
"""Those that the `tokenizers` library can be asked about; the others are beyond any vocabulary."""


class Tokenizer:
    """Text to token ids and back."""

    def __init__(self, inner: tokenizers.Tokenizer, config: Mapping[str, object] | None = None) -> None:
        # A tokenizer.json may ask for batches of equal length; a prompt is neither cut nor padded.
        inner.no_padding()
        inner.no_truncation()
        config = config or {}
        self._inner = inner
        self._added = inner.get_added_tokens_decoder()
        self._special = frozenset(id_ for id_, token in self._added.items() if token.special)
        self._decoder = json.loads(inner.to_str())["decoder"]
        build_stages(self._decoder)  # refuse here what cannot be streamed later
        add_bos = config.get("add_bos_token")
        self._add_bos = add_bos if isinstance(add_bos, bool) else None
        self.special_tokens = _special_tokens(config)
        """Names as templates use them (`bos_token`) to the tokens' texts."""

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read a checkpoint folder's tokenizer.json; without one only token ids can be given."""
        path = folder / "tokenizer.json"
        text = read_text(path)
        if text is None:
            raise UsageError(NO_TOKENIZER)
        config = {
            **read_object(folder / "special_tokens_map.json"),
            **read_object(folder / "tokenizer_config.json"),
        }
        try:
            return cls(tokenizers.Tokenizer.from_str(text), config)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library reports some damage as a panic, which is no Exception
            raise CheckpointError(f"{path} is damaged ({error}); download it again.") from None

    @property
    def vocab_size(self) -> int:
        """Tokens known, the added ones included; the model's vocabulary is often padded beyond."""
        return self._inner.get_vocab_size(with_added_tokens=True)

    def vocabulary(self) -> dict[str, int]:
        """Return every token's text, as tokenizer.json writes it, with its id."""
        found: dict[str, int] = self._inner.get_vocab(with_added_tokens=True)
        return found

    @property
    def bos_id(self) -> int | None:
        return self._named_id("bos_token")

    @property
    def eos_id(self) -> int | None:
        return self._named_id("eos_token")

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Return the ids of a text, nothing put before or after.

        `special` makes the text of a control token that token; otherwise it stays letters.
        """
        cuts = [] if special else self.literal_cuts(text, self.control_texts())
        bounds = [0, *cuts, len(text)]
        ids: list[int] = []
        for start, end in itertools.pairwise(bounds):
            ids += self._inner.encode(_encodable(text[start:end]), add_special_tokens=False).ids
        return ids

    def encode_raw(self, text: str) -> list[int]:
        """Return the ids of a whole raw prompt: control tokens are read, and the beginning is marked once.

        tokenizer_config.json's add_bos_token says whether, and where it is silent tokenizer.json's
        post-processor does.
        """
        ids = self._inner.encode(_encodable(text), add_special_tokens=self._add_bos is None).ids
        bos = self.bos_id
        if bos is None:
            return ids
        if self._add_bos and ids[:1] != [bos]:
            return [bos, *ids]
        if self._add_bos is None and ids[:2] == [bos, bos]:  # by the post-processor and by the text
            return ids[1:]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the ids; special tokens, and ids beyond the vocabulary, have none."""
        return self._inner.decode([id_ for id_ in ids if id_ in _LIBRARY_IDS], skip_special_tokens=True)

    def detokenizer(self) -> Detokenizer:
        """Return a streaming decoder at the start of a text."""
        return Detokenizer(self._piece, build_stages(self._decoder))

    def piece(self, id_: int) -> str:
        """Return one token as text to show: a special one by its name, part of a character as U+FFFD."""
        if id_ in self._added:
            return self._added[id_].content
        detokenizer = self.detokenizer()
        return detokenizer.push(id_) + detokenizer.flush()

    def is_special(self, id_: int) -> bool:
        return id_ in self._special

    def control_texts(self, template: str = "") -> frozenset[str]:
        """Return the texts that steer the model and that content must therefore not turn into tokens.

        DeepSeek-V3 marks few of its control tokens as special, so those that look like one (`<｜User｜>`)
        and those that the chat template writes itself (`<think>`) count as well.
        """
        return frozenset(
            token.content
            for token in self._added.values()
            if token.content.strip()
            and (token.special or _CONTROL_SHAPE.fullmatch(token.content) or token.content in template)
        )

    @staticmethod
    def literal_cuts(text: str, controls: frozenset[str]) -> list[int]:
        """Return where to cut a text so that no part holds a control token's text.

        Every occurrence, overlapping ones too, is cut after its first character: encoded apart, the halves
        are letters, and the ids still decode to the text. A control token of one character stays.
        """
        present = [each for each in controls if len(each) > 1 and each in text]
        if not present:
            return []
        pattern = re.compile("(?=" + "|".join(map(re.escape, present)) + ")")
        return [match.start() + 1 for match in pattern.finditer(text)]

    def _named_id(self, name: str) -> int | None:
        text = self.special_tokens.get(name)
        return None if text is None else self._inner.token_to_id(text)

    def _piece(self, id_: int) -> str | None:
        return None if id_ in self._special or id_ not in _LIBRARY_IDS else self._inner.id_to_token(id_)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which come from arguments that are not UTF-8 and have no bytes."""
    return text.encode("utf-8", "replace").decode()


def _special_tokens(config: Mapping[str, object]) -> dict[str, str]:
    """Read each special token's text, stated as a string or as an object with its content."""
    tokens: dict[str, str] = {}
    for name in _SPECIAL_NAMES:
        value = config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            tokens[name] = text
    return tokens
