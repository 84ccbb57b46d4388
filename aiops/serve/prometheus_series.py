"""Series, label names and label values, derived series and incidents included."""

from dataclasses import dataclass

from aiops.domain.incident import Incident
from aiops.domain.labels import METRIC_NAME, Labels, label_value
from aiops.domain.matchers import Matchers, match_all
from aiops.query.derived import (
    COLUMNS,
    SERIES_NAME,
    Selection,
    derived_labels,
    incident_labels,
    select,
)
from aiops.store.base import IncidentReader, SeriesReader

EVERYTHING = Selection((), tuple(COLUMNS), base=(), has_incidents=True, matchers=())
"""What a request without match[] asks for: stored series, derived ones and incidents alike."""


@dataclass(frozen=True, slots=True)
class SeriesQuestion:
    """Which series a request is about; no `match[]` means every series.

    The store keeps no times beside label names and values, so `start_ms` and `end_ms` bound
    whole series and incidents only.
    """

    matcher_sets: tuple[Matchers, ...]
    start_ms: int
    end_ms: int

    def selections(self) -> list[Selection]:
        """Return what each selector finds."""
        return [select(matchers) for matchers in self.matcher_sets] or [EVERYTHING]


class SeriesLookup:
    """Answers questions about series from a store and the incidents.

    Parameters
    ----------
    reader
        Where stored series come from; derived ones are named after them.
    incidents
        Where incidents come from.
    """

    def __init__(self, reader: SeriesReader, incidents: IncidentReader) -> None:
        self._reader = reader
        self._incidents = incidents

    async def series(self, question: SeriesQuestion) -> list[Labels]:
        """Return the sorted label sets that match."""
        found: set[Labels] = set()
        for selection in question.selections():
            if selection.stored is not None:
                found.update(await self._stored(selection.stored, question))
            if selection.names:
                for labels in await self._stored(selection.base, question):
                    found.update(derived_labels(labels, name) for name in selection.names)
        found.update(await self._incident_labels(question))
        return sorted(found)

    async def label_names(self, question: SeriesQuestion) -> list[str]:
        """Return the sorted label names of matching series."""
        found: set[str] = set()
        for selection in question.selections():
            if selection.stored is not None:
                found.update(await self._reader.label_names(_sets(selection.stored)))
            if selection.names:
                names = await self._reader.label_names(_sets(selection.base))
                found.update([*names, METRIC_NAME, SERIES_NAME] if names else ())
        for labels in await self._incident_labels(question):
            found.update(name for name, _ in labels)
        return sorted(found)

    async def label_values(self, name: str, question: SeriesQuestion) -> list[str]:
        """Return the sorted values a label takes on matching series."""
        found: set[str] = set()
        for selection in question.selections():
            if selection.stored is not None:
                found.update(await self._reader.label_values(name, _sets(selection.stored)))
            if selection.names:
                found.update(await self._derived_values(name, selection, question))
        for labels in await self._incident_labels(question):
            found.add(label_value(labels, name))
        return sorted(found - {""})

    async def _derived_values(
        self, name: str, selection: Selection, question: SeriesQuestion
    ) -> list[str]:
        sets = _sets(selection.base)
        if name == METRIC_NAME:
            any_series = await self._reader.series(
                sets, start_ms=question.start_ms, end_ms=question.end_ms, limit=1
            )
            return list(selection.names) if any_series else []
        return await self._reader.label_values(METRIC_NAME if name == SERIES_NAME else name, sets)

    async def _stored(self, matchers: Matchers, question: SeriesQuestion) -> list[Labels]:
        return await self._reader.series(
            _sets(matchers), start_ms=question.start_ms, end_ms=question.end_ms
        )

    async def _incident_labels(self, question: SeriesQuestion) -> list[Labels]:
        selections = [one for one in question.selections() if one.has_incidents]
        if not selections:
            return []
        incidents: list[Incident] = await self._incidents.incidents_between(
            question.start_ms, question.end_ms
        )
        every = [incident_labels(one) for one in incidents]
        return [
            labels for labels in every if any(match_all(one.matchers, labels) for one in selections)
        ]


def _sets(matchers: Matchers) -> tuple[Matchers, ...]:
    """Return the matchers as one set; no matchers at all means every series to a store."""
    return (matchers,) if matchers else ()
