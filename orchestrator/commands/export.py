"""What leaves a run folder: tables, an archive of the page, contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.commands.options import selection
from orchestrator.commands.status import read_status
from orchestrator.errors import RefusedError
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.output.discretion import Discretion
from orchestrator.output.export import TABLES, Archive, Choice, Chosen, Pictures, Told, whole
from orchestrator.output.gallery import Coder, Place, marks
from orchestrator.output.gallery.writer import HEAD, points
from orchestrator.output.sheet import Look, contact_sheets
from orchestrator.runs import RunFolder
from orchestrator.sweep import Job, Schema, did_you_mean

FORMAT: Final = 1
FOLDER: Final = "exports"
KINDS: Final = (*TABLES, "zip", "sheet")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user asks for.

    Attributes:
        kinds: Some of `KINDS`.
        out: The file, or the folder of several; None for `exports/` in the run folder.
        force: Whether a file that is there already is replaced.
        only: `name=value[,value…]`, by label or value.
        states: The states of tasks; all of them if none is given.
        least_stars: How many stars a picture needs, 0 for no matter which.
        pictures: How the archive holds them.
        look: How sheets are to look.
    """

    kinds: Sequence[str]
    out: Path | None = None
    force: bool = False
    only: Sequence[str] = ()
    states: Sequence[str] = ()
    least_stars: int = 0
    pictures: Pictures = field(default_factory=Pictures)
    look: Look = field(default_factory=Look)

    def target(self, run_folder: Path, stem: str, kind: str) -> Path:
        """Return where a kind of export is to stand."""
        name = f"{stem}-sheet.png" if kind == "sheet" else f"{stem}.{kind}"
        if self.out is None:
            return run_folder / FOLDER / name
        is_folder = self.out.is_dir() or len(self.kinds) > 1 or not self.out.suffix
        return self.out / name if is_folder else self.out


@dataclass(slots=True)
class Exported:
    """What was written.

    Attributes:
        tasks, outputs: How many there are in it.
        files: Where it stands, each with its kind.
        missing: How many files of the run were not there.
        lacking: Letters that no font had.
    """

    tasks: int = 0
    outputs: int = 0
    files: list[tuple[str, Path]] = field(default_factory=list)
    missing: int = 0
    lacking: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `export --json` prints."""
        files = [{"kind": kind, "path": str(path)} for kind, path in self.files]
        counts = {"tasks": self.tasks, "outputs": self.outputs, "missing": self.missing}
        return {"format": FORMAT, "files": files, **counts, "lacking": self.lacking}

    def summary(self) -> str:
        """Return for people what was written."""
        count = f"{self.tasks:,} {'task' if self.tasks == 1 else 'tasks'}, {self.outputs:,} outputs"
        return "\n".join([*(str(path) for _, path in self.files), count])

    def warnings(self, run_folder: Path) -> list[str]:
        """Return for people what is not as it could be."""
        found = []
        if self.missing:
            found.append(
                f"{self.missing:,} {'file is' if self.missing == 1 else 'files are'} missing in the run folder, and so"
                f" in the archive: `orchestrator verify {run_folder} --repair` fetches what is missing again."
            )
        if self.lacking:
            found.append(
                f"No font had these letters of the labels: {self.lacking[:40]} (--font FILE names one that has)."
            )
        return found


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is exported, as it is at one moment; `done` is what has become of it."""

    folder: RunFolder
    ledger: SqliteLedger
    job: Job
    coder: Coder
    discretion: Discretion
    choice: Choice
    marks: dict[str, Any]
    started_at: str | None
    done: Exported = field(default_factory=Exported)

    def chosen(self) -> Iterator[Chosen]:
        """Yield what is exported, always the same, and count it."""
        self.done.tasks = self.done.outputs = 0
        for each in self.choice.of(self.ledger):
            self.done.tasks += 1
            self.done.outputs += len(each.numbers)
            yield each


def export(folder: RunFolder, wanted: Wanted) -> Exported:
    """Write what is wanted of a run, also while a process is at work in its folder; it blocks.

    Raises:
        RefusedError: An option is wrong, nothing fits it, or something cannot be written.
        OrchestratorError: There is no run in the folder.
    """
    if not wanted.kinds:
        raise RefusedError(f"--to names nothing to write. There are {', '.join(KINDS)}.")
    _check(wanted.kinds, KINDS, "--to")
    _check(wanted.states, [state.value for state in State], "--state")
    with _opened(folder, wanted) as run:
        done = run.done
        if wanted.least_stars and not run.marks["marks"]:
            raise RefusedError(
                f"--min-rating {wanted.least_stars}: {folder.path} holds no marks. Download them from the page (Export,"
                f" Marks) and put {marks.NAME} into the run folder."
            )
        if next(run.chosen(), None) is None:
            raise RefusedError("Nothing of the run fits these options, and nothing was written.")
        for kind in dict.fromkeys(wanted.kinds):
            target = wanted.target(folder.path, run.job.folder, kind)
            replaces = wanted.force or wanted.out is None
            if kind == "sheet":
                _write_sheets(run, wanted.look, target, done, replaces=replaces)
                continue
            with whole(target, replaces=replaces) as draft:
                if kind == "zip":
                    done.missing += _write_archive(run, wanted.pictures, draft, target.stem)
                else:
                    axes = tuple(run.job.axes_groups())
                    TABLES[kind](Told(run.job.name, run.job.model, axes, run.chosen), draft)
            done.files.append((kind, target))
        return done


@contextmanager
def _opened(folder: RunFolder, wanted: Wanted) -> Iterator[_Run]:
    with folder.opened() as opened, opened.frozen() as ledger:
        facts = ledger.facts()
        job, tool, home = resolved_job(facts), frozen_tool(facts), Path(facts["source"]).parent
        held = marks.read(folder.path)
        discretion = Discretion(job, Schema.from_tool(tool), home)
        choice = Choice(
            selection(wanted.only, job),
            frozenset(map(State, wanted.states or State)),
            wanted.least_stars,
            marks.understood(held),
            discretion,
        )
        yield _Run(folder, ledger, job, Coder(job, tool, home), discretion, choice, held, facts.get("started_at"))


def _write_archive(run: _Run, pictures: Pictures, path: Path, name: str) -> int:
    """Write the page; return how many files were not there."""
    place = Place(run.folder.path)
    job = run.coder.job(run.job.name, run.started_at)
    status = read_status(run.folder).to_json()
    if status["state"] == "running":
        status["state"] = "stopped"  # an archive does not go on
    head = {
        "key": job["key"],
        "generation": 0,
        "status": status,
        "progress": points(place.read(HEAD), job["key"]),
    }
    archive = Archive(place, run.coder, job, head, run.marks, pictures)
    archive.write(path, name, run.chosen())
    return archive.missing


def _write_sheets(run: _Run, look: Look, target: Path, done: Exported, *, replaces: bool) -> None:
    drawn = contact_sheets(Place(run.folder.path), run.job, run.discretion, run.chosen(), look)
    for suffix, save in drawn.files():
        path = target.with_name(f"{target.stem}{suffix}{target.suffix}")
        with whole(path, replaces=replaces) as draft:
            save(draft, path.suffix)
        done.files.append(("sheet", path))
    done.lacking = "".join(sorted(drawn.lettering.lacking))


def _check(given: Sequence[str], known: Sequence[str], option: str) -> None:
    for word in given:
        if word not in known:
            hint = did_you_mean(word, known) or f"There are {', '.join(known)}."
            raise RefusedError(f"{option} {word} is not known. {hint}")
