"""``fibseg VERB key=value …``: reads the words, builds the parts, runs the verb, ends in a code."""

from __future__ import annotations

import importlib
import inspect
import io
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fibseg import __version__
from fibseg.cli.grammar import did_you_mean, split_override
from fibseg.cli.help import overview, verb_help
from fibseg.cli.planning import after_those_before, print_plan
from fibseg.cli.verbs import VERBS
from fibseg.errors import (
    FULL,
    DiskFullError,
    FibsegError,
    InterruptedRunError,
    StoppedAtOnce,
    UsageError,
)

HELP = {"-h", "--help", "help"}
MULTIRUN = {"-m", "--multirun"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of ``fibseg`` with the words `argv` (default: those of the process)."""
    words = list(sys.argv[1:] if argv is None else argv)
    _take_any_text()
    try:
        return _dispatch(words)
    except FibsegError as error:
        return complain(words, str(error), error.exit_code)
    except KeyboardInterrupt as error:
        text = "Interrupted. The same command continues where it stopped."
        code = complain(words, text, InterruptedRunError.exit_code)
        if isinstance(error, StoppedAtOnce):
            sys.stderr.flush()
            os._exit(code)
        return code
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename}"
        text = f"{error.strerror}{where}" if error.strerror else f"{error}"
        if error.errno in FULL:
            text += ". Make room on that disk; the same command continues then."
            return complain(words, text, DiskFullError.exit_code)
        return complain(words, text or type(error).__name__, FibsegError.exit_code)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in HELP:
        _echo(overview())
        return 0
    if words[0] == "--version":
        _echo(__version__)
        return 0
    verb, arguments = words[0], words[1:]
    if verb not in VERBS:
        raise UsageError(f"There is no verb {verb!r}. {did_you_mean(verb, VERBS)}")
    if HELP & set(arguments):
        _echo(verb_help(verb))
        return 0
    log_to_stderr()
    if MULTIRUN & set(arguments):
        from fibseg.cli.multirun import multirun

        return multirun(verb, [a for a in arguments if a not in MULTIRUN])
    return run_verb(verb, arguments)


def run_verb(verb: str, arguments: list[str]) -> int:
    """Exit code of one verb, run in this process.

    Raises
    ------
    FibsegError
        Whatever the verb refuses.
    """
    from fibseg.cli.compose import compose_verb, resolved

    config = resolved(compose_verb(verb, arguments))
    return run_config(verb, config, arguments)


def run_config(verb: str, config: dict[str, Any], overrides: list[str]) -> int:
    """Exit code of one verb with a resolved config.

    Parameters
    ----------
    overrides
        What was typed behind the verb.

    Raises
    ------
    FibsegError
        Whatever the verb refuses.
    """
    from fibseg.cli.compose import build_parts, refuse_foreign_targets
    from fibseg.cli.passing import passed_on
    from fibseg.cli.values import fitted, refuse_lacking

    dry_run = bool(config.pop("dry_run"))
    if verb == "demo":
        return _demo(config["steps"], dry_run=dry_run)
    refuse_foreign_targets(config)
    _look(verb, config)
    module = importlib.import_module(f"fibseg.pipeline.{VERBS[verb].module}")
    run = module.run
    refuse_lacking(run, config)
    typed = dict(map(split_override, overrides))
    config = fitted(run, passed_on(verb, config, typed), typed=typed)
    parts = build_parts(config)
    # What a run records about itself: not settings, so not keys of the config.
    accepted = inspect.signature(run).parameters
    told = {"config": config, "overrides": overrides}
    record = {key: value for key, value in told.items() if key in accepted}
    if dry_run:
        print_plan(verb, module, parts, record, _echo)
        return 0
    _echo_result(run(**parts, **record))
    return 0


def _look(verb: str, config: Mapping[str, Any]) -> None:
    """Open what the verb reads: a mistyped path is told at once, not after the import of torch."""
    from fibseg.export import load_spec
    from fibseg.export.foreign import is_model_file, read_foreign
    from fibseg.volume import Volume

    def open_model(path: str) -> object:
        """Description of a model folder, or of a file where the verb takes one."""
        return (read_foreign if verb == "infer" and is_model_file(path) else load_spec)(path)

    opened = {"volume": Volume.open, "model": open_model}
    for key in VERBS[verb].reads:
        paths = config[key] if isinstance(config[key], list) else [config[key]]
        for path in paths:
            if isinstance(path, str):
                opened[key](path)


def _demo(steps: Mapping[str, str], *, dry_run: bool) -> int:
    """The walk of the README, each step the very command that a user would type."""
    for number, command in enumerate(steps.values(), start=1):
        _echo(f"\n[{number}/{len(steps)}] fibseg {command}")
        verb, *arguments = shlex.split(command)
        if dry_run:
            with after_those_before(_echo):
                run_verb(verb, [*arguments, "dry_run=true"])
            continue
        code = run_verb(verb, arguments)
        if code:
            return code
    return 0


class _ToStderr(logging.StreamHandler[Any]):
    """Writes to what ``sys.stderr`` is at that moment: tests and notebooks replace and close it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr() -> None:
    """Show what fibseg logs, once."""
    logger = logging.getLogger("fibseg")
    logger.setLevel(logging.INFO)
    if not any(isinstance(h, _ToStderr) for h in logger.handlers):
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("%(message)s"))
        # On a terminal the bar shows the progress; the lines of it are for the log file.
        handler.addFilter(lambda r: r.name != "fibseg.progress" or not sys.stderr.isatty())
        logger.addHandler(handler)


def _echo_result(result: Any) -> None:
    if result is None:
        return
    if hasattr(result, "text"):
        _echo(result.text())
    elif isinstance(result, Mapping):
        _echo("\n".join(_line(key, value) for key, value in result.items()))
    else:
        _echo(str(result))


def _line(key: str, value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return f"{key}:\n" + "\n".join(f"  {v}" for v in value)
    return f"{key}: {value}"


def _take_any_text() -> None:
    """Make the streams take every letter, and let them be where the caller has closed them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the process ends
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _echo(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; that is no reason to stop the work
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(words: list[str], text: str, code: int) -> int:
    """`code`, after an error in one line.

    Parameters
    ----------
    words
        Of the command.
    """
    verb = f" {words[0]}" if words and words[0] in VERBS else ""
    sys.stderr.write(f"fibseg{verb}: {text}\n")
    return code
