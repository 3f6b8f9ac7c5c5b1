"""From a checkpoint's folder to an engine: headers, plan, weights, and all that can be wrong with them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.demo.place import default_ram, resolve
from engine.engine import Engine
from engine.errors import UsageError
from engine.kernels.cpu import CpuKernels
from engine.offload.assemble import assemble
from engine.offload.home import Home, Settings
from engine.offload.sizes import context_tokens
from engine.second import OpenedModel, SecondCheckpoint
from engine.text.generation import GenerationDefaults
from engine.text.template import ChatTemplate
from engine.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from engine.kernels.base import Kernels
    from engine.offload.resident import Progress


def load(
    path: str | Path,
    *,
    ram: str | int | None = None,
    context: int | None = None,
    threads: int | None = None,
    disk_limit: str | float | None = None,
    readers: int | None = None,
    direct: bool | None = None,
    draft_model: str | Path | None = None,
    progress: Progress | None = None,
    kernels: Kernels | None = None,
) -> Engine:
    """Open a checkpoint folder, or the embedded "demo", plan its memory and read what is to stay there.

    `ram` bounds weights, caches and everything else of the engine: "12GB", "50%" or bytes; 60 % of what is
    available unless given (the demo's own default makes it stream). `context` tokens of cache are reserved
    (4096, or what the model was made for); `threads` is all usable cores unless given, and at most that many.
    `disk_limit` ("200MB/s") makes the drive slower than it is; `readers` threads read, past the page cache if
    `direct`: both are measured unless given. `draft_model` is a second, smaller checkpoint of the same
    tokenizer, which drafts in mode model, inside the same budget. `progress(bytes_done, bytes_in_all, file)`
    is called as weights arrive. `kernels` replaces the CPU's, for tests. Raises CheckpointError, UsageError
    or MemoryBudgetError.
    """
    folder = resolve(path)
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, not {threads}.")
    settings = Settings.checked(default_ram(path) if ram is None else ram, disk_limit, readers, direct)
    with ExitStack() as opening:
        opened = OpenedModel.open(folder)
        opening.callback(opened.checkpoint.close)
        config, found = opened.config, opened.audit
        length = context_tokens(context, config.max_position_embeddings)
        tokenizer = Tokenizer.load(folder) if (folder / "tokenizer.json").exists() else None
        template = ChatTemplate.load(folder, tokenizer.special_tokens if tokenizer else None)
        generation = GenerationDefaults.load(folder)
        second, share_bytes = None, 0
        if draft_model is not None:
            second = SecondCheckpoint.open(resolve(draft_model))
            opening.callback(second.opened.checkpoint.close)
            second.check_fits(opened, tokenizer, length)
            share_bytes = second.share(opened, length, settings.ram_bytes)
        warnings = [found.notice] if found.notice else []
        if kernels is None:
            own = CpuKernels(threads)
            own.warm_up()
            kernels, warnings = own, [*warnings, *([own.warning] if own.warning else [])]
        first_settings = replace(settings, ram_bytes=settings.ram_bytes - share_bytes)
        home = Home(opened.checkpoint, config, found, kernels, length, first_settings, progress)
        opening.callback(home.close)
        drafts = None
        if second is not None:
            second_settings = replace(settings, ram_bytes=share_bytes)
            drafts = second.read(kernels, length, second_settings, progress, home)
        opening.pop_all()  # the engine closes them from here on
    damaged = [(folder, home), *([(drafts.folder, drafts.home)] if drafts else [])]
    warnings += [
        f"{each.nan_bytes:,} FP8 weights of {where} are NaN: the checkpoint is damaged, download it again."
        for where, each in damaged
        if each.nan_bytes
    ]
    model, mtp = assemble(config, found.has_mtp, home.weights, kernels, length)
    return Engine(config, model, mtp, length, tokenizer, template, generation, tuple(warnings), home, drafts)
