"""The code that a preparation of one model would run: a digest of it, what it does, and whether it still is that."""

from __future__ import annotations

from typing import Any

from ...upstream.encodings import Encoding, part_at
from ...upstream.families import Family, class_of
from .description import Description
from .effects import effect_of, effect_of_encoders
from .encoders import Encoders
from .explorer import Explorer
from .libraries import top_of, version_of
from .looks import Looked
from .lookup import Slot
from .places import QuickLook
from .preparing import NOTHING, Preparing
from .replaced import replaced
from .values import Live

_NOTHING = QuickLook()


class RunningCode(Looked):
    """What ``function``, as a preparation of ``model``, would run.

    ``digest`` is the same wherever the same would run, with the same version of Python. Where that can't be told,
    ``uncertain`` says of what, and it holds for this process and these very objects. ``gives`` is what the preparation
    returns, NOTHING or CONDITIONALS (see preparing), or None where it can't be told. ``effect`` is what it does besides
    setting the conditionals, as a phrase, or None. ``libraries`` are the versions of the libraries that it calls.

    Raises Unidentifiable where the code and the encoders' weights don't decide what comes out.
    """

    def __init__(self, model: Any, family: Family | Encoding, function: Any) -> None:
        explorer, encoders = (
            Explorer(top_of(class_of(model, family).__module__), Slot(model, family.slot)),
            Encoders(model, family.encoders),
        )
        try:
            self._describe(explorer, encoders, model, family, function)
        finally:
            explorer.close()
        super().__init__(in_full_each_time=isinstance(family, Encoding))

    def _describe(
        self, explorer: Explorer, encoders: Encoders, model: Any, family: Family | Encoding, function: Any
    ) -> None:
        encoders.refuse_hooks(explorer)
        explorer.visit(function, Live(model))
        encoders.explore(explorer)
        for place, replacing in replaced(explorer.libraries, explorer.lookup.watched):
            explorer.put(place, replacing)
        explorer.search_loose_names()
        encoders.refuse_others(explorer)
        described = Description(explorer, function, model, encoders)
        self.digest, self.uncertain = described.digest, next(iter(described.lives), "")
        preparing = Preparing(explorer, model, family.slot)
        self.gives: str | None = NOTHING  # what an encoding gives is looked at when it is there
        if isinstance(family, Encoding):
            self.effect = effect_of_encoders(explorer, preparing)
        else:
            self.gives, self.effect = preparing.gives(function), effect_of(explorer, preparing, function, family.audio)
        versions = {name: version_of(name) for name in sorted(explorer.called_libraries())}
        self.libraries = {name: version for name, version in versions.items() if version is not None}
        self.shared, self._own = explorer.lookup.watched, explorer.lookup.on_instances
        functions: list[Any] = [visit.function for visit in explorer.visits.values()]
        globals_of = {id(function.__globals__): function.__globals__ for function in functions}
        parts = {path.rpartition(".")[0] for path in family.encoders} | set(family.encoders)
        parts_of_model = [vars(model), *(vars(part_at(model, part)) for part in sorted(parts - {""}))]
        self._quick = QuickLook(
            self.shared.settle([*globals_of.values(), *explorer.kinds])
            + self._own.settle(parts_of_model, when_gone=self._let_go)
        )

    @property
    def lasts(self) -> bool:
        """Whether ``digest`` means the same in another process."""
        return not self.uncertain

    def _let_go(self) -> None:
        self._quick, self._changed = _NOTHING, True

    def stands(self, model: Any) -> bool:
        """Whether nothing was replaced by assigning to a name: in Chatterbox, the program, or the model's parts."""
        quick = self._quick
        if not quick.stands():
            return False
        if not quick.are_of_the_same_size():  # something more is there, which need not matter
            if not self.stands_in_full(model):
                return False
            quick.take_sizes()
        return True

    def stands_in_full(self, model: Any) -> bool:
        """Whether everything that decides is where it was, and nothing more was loaded."""
        return self.shared.stands_in_full() and self._own.stands_in_full()
