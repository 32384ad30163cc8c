"""From a config to a finished run folder."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
import tensorflow as tf

from svgp import files
from svgp.config import Config, load_config
from svgp.data import Dataset
from svgp.errors import Interrupted, RunError, TrainingDiverged
from svgp.linalg import paths
from svgp.replicas import replicas, shared_by
from svgp.runs.earlier import rows_of
from svgp.runs.folder import RunFolder, default_path, timestamp
from svgp.runs.inducing_count import with_count
from svgp.runs.opening import open_folder
from svgp.runs.restarts import best_start, forget_trials, kept_state, prepare
from svgp.runs.resume import require_resumable, resumed_config
from svgp.runs.run import Run
from svgp.runs.session import Session
from svgp.stopping import StopAsked
from svgp.training import (
    Method,
    Progress,
    Silent,
    checkpoints,
    reason_to_stop,
    train_steps,
)
from svgp.training.checkpoints import Checkpoint
from svgp.training.device import choose_device, describe_device, devices_of, precision_advice
from svgp.training.interrupts import StopRequest
from svgp.workers import joined, present


def train(
    config: Config | str | Path | None = None,
    *,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train what `config` describes and return the finished run.

    config: a Config, or the path of its YAML file. run_dir: an absent or empty folder, by default
    `<output.dir>/<name>/<UTC timestamp>`. resume: the folder of a run to continue, with its own config;
    a `config` given besides may change limits and reporting only. progress: see `svgp.training.Progress`.

    Raises ConfigError, DataError, ModelError, RunError; TrainingDiverged with the last good state saved;
    Interrupted after the first Ctrl-C or SIGTERM, with everything saved.
    """
    with joined() as workers:
        if workers.chief:
            run = _chosen(config, run_dir, resume, progress or Silent())
            workers.agree(0.0)  # the others wait for pictures and report: one that leaves before looks lost
            return run
        # The others do as the chief does, in a folder that nobody sees, and write nothing else.
        with tempfile.TemporaryDirectory() as own:
            if resume is not None:
                shutil.copytree(
                    resume, own, dirs_exist_ok=True, ignore=shutil.ignore_patterns("plots", "*.html")
                )
            run = _chosen(config, own, None if resume is None else own, Silent())
            workers.agree(0.0)
            return run


def _chosen(
    config: Config | str | Path | None,
    run_dir: str | Path | None,
    resume: str | Path | None,
    progress: Progress,
) -> Run:
    wanted = load_config(config) if isinstance(config, (str, Path)) else config
    if resume is not None:
        folder = RunFolder(resume)
        require_resumable(folder)
        config = resumed_config(folder, wanted)
    elif wanted is None:
        raise RunError("train: give a config, or a run to resume")
    else:
        config = wanted
        folder = RunFolder(run_dir or default_path(config.output.dir, config.name))
        folder.require_free()
    return _train(folder, config, resume is not None, progress)


def _train(folder: RunFolder, config: Config, resumed: bool, progress: Progress) -> Run:
    device = choose_device(config.train.device)
    dataset = rows_of(config)
    with tf.device(device), shared_by(devices_of(config.train.device)):
        config, weighed = with_count(config, dataset)
        method, notes = prepare(config, dataset)
        notes[1:1] = [weighed["sentence"]] if weighed else []
        _take_paths(folder, method, resumed)
        advice = precision_advice(device, config.train.precision)
        lines = [notes[0], *dataset.notes, *notes[1:], *filter(None, [advice])]
        if not resumed:
            folder.create()
        with folder.claimed():
            folder.tidy()
            checkpoint = open_folder(folder, config, dataset, method, progress, device, lines, resumed)
            if weighed:
                files.write_json(folder.inducing_choice, weighed)
            _require_alike(method, config, dataset, checkpoint)
            return _run(folder, config, dataset, method, progress, device, lines, checkpoint)


def _run(
    folder: RunFolder,
    config: Config,
    dataset: Dataset,
    method: Method,
    progress: Progress,
    device: str,
    lines: list[str],
    checkpoint: Checkpoint | None,
) -> Run:
    """Train in an open folder, note how it ended, and draw."""
    try:
        with StopRequest(progress.note) as request:
            if config.train.restarts > 1:
                method, checkpoint = _choose_start(
                    folder, config, dataset, progress, request, method, checkpoint
                )
            session = Session(folder, config, dataset, method, progress, checkpoint)
            for line in [*_start_lines(session, device), *lines]:
                progress.note(line)
            try:
                reason = _loop(session, request)
            finally:
                session.close()
    except BaseException as error:
        with suppress(RunError):  # of a full disk, say: what happened first is what to tell
            folder.write_status(_status_of(error), message=_message_of(error), steps=method.step)
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise RunError(f"{folder.path}: {_message_of(error)}") from error
        raise
    finally:
        progress.close()
    folder.write_status("finished", stopped=reason, steps=method.step, finished=timestamp())
    finished = Run(folder, dataset=dataset, evaluator=session.evaluator, predictive=session.predictive)
    if present().chief:
        finished.write_plots()
        finished.write_report()
    return finished


def _require_alike(method: Method, config: Config, dataset: Dataset, checkpoint: Checkpoint | None) -> None:
    """Raise RunError where several workers do not begin alike; none goes on before all are here."""
    workers = present()
    if workers.alone:
        return
    workers.require_same("config", repr(config.model_dump(exclude={"output"})).encode())
    workers.require_same("data", dataset.sha256.encode())
    start = b"".join(np.asarray(x).tobytes() for x in method.model.variables)
    workers.require_same("starting values", start)
    workers.require_same("checkpoint", b"" if checkpoint is None else checkpoint.arrays["step"].tobytes())


def _take_paths(folder: RunFolder, method: Method, resumed: bool) -> None:
    """The faster paths of a minibatch step; a resumed run keeps those that it began with, and its bits."""
    known = (
        files.read_object(folder.environment).get("paths")
        if resumed and folder.environment.exists()
        else None
    )
    if known is not None:
        paths.take(paths.Paths(**known))
    elif method.name in ("adam", "natgrad") and present().alone:  # several workers must round alike
        paths.tune()


def _choose_start(
    folder: RunFolder,
    config: Config,
    dataset: Dataset,
    progress: Progress,
    request: StopRequest,
    method: Method,
    checkpoint: Checkpoint | None,
) -> tuple[Method, Checkpoint | None]:
    """The method from the best start, and where it goes on: the run's checkpoint, or the end of its trial."""
    best = best_start(folder, config, dataset, progress, request)
    if best:
        method, _ = prepare(config, dataset, best)
        files.write_json(folder.inducing_start, np.asarray(method.model.Z))
    return method, checkpoint or kept_state(folder, best, progress)


def _loop(session: Session, request: StopRequest) -> str:
    """Train until the config says stop; returns why."""
    if not checkpoints.all_of(session.folder.checkpoints):
        session.log_diagnostics(session.method.step, session.method.step / session.method.steps_per_epoch)
        session.save_checkpoint()
        forget_trials(session.folder)
    last = None
    steps = train_steps(session.method, session.stop, schedule=session.schedule, state=session.state)
    try:
        for last in steps:
            if last.row is not None:
                if last.evaluate:
                    session.evaluate(last.row)
                session.log(last.row)
            if present().any(present().stop.asked):
                _save_and_leave(session, request)
            session.save_if_due(last)
        reason = reason_to_stop(session.method, session.stop, session.state) or ""
        # Before the row that the end forces: a run resumed with a higher limit drops that row again.
        session.save_checkpoint()
        request.saved = f"while the run was ending; go on with: svgp train --resume {session.folder.path}"
        session.finish(reason, last)
        return reason
    except StopAsked:
        if request.saved:
            raise Interrupted(f"{_told(request)} {request.saved}") from None
        _save_and_leave(session, request)
    except TrainingDiverged:
        try:
            session.restore_last_good()
        except RunError as error:  # it never was any good: the diagnosis says why
            session.progress.note(str(error))
        raise


def _save_and_leave(session: Session, request: StopRequest) -> NoReturn:
    session.save_checkpoint()
    session.save_model()
    raise Interrupted(
        f"{_told(request)} at step {session.method.step}; everything is saved, go on with: "
        f"svgp train --resume {session.folder.path}"
    )


def _told(request: StopRequest) -> str:
    return request.asked or "a signal to another worker"


def _start_lines(session: Session, device: str) -> list[str]:
    config, method, model = session.config, session.method, session.model
    where = describe_device(device, replicas().count)
    start = f"step {method.step} of {session.folder.path}" if method.step else str(session.folder.path)
    return [
        f"{config.name}: {session.dataset.rows.count} rows, {model.Z.shape[-1]} inputs, "
        f"{model.num_inducing} inducing points; {method.name}, {method.steps_per_epoch} steps an epoch; "
        f"{config.train.precision} on {where}, TF32 off",
        f"{'resuming at' if method.step else 'run folder'} {start}",
    ]


def _status_of(error: BaseException) -> str:
    return "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"


def _message_of(error: BaseException) -> str:
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "out of memory: try a smaller train.batch_size or model.inducing.count"
    return str(error) or type(error).__name__
