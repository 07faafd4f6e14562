"""What is killed never serves again, by any sequence of steps; a roll-back does not ship again by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.placements import POLICIES
from recommender.domain.experiments.running.assignment import assign, live_weights
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.design import Design
from recommender.errors import RecommenderError
from recommender.use_cases.manage_experiments import Order, change_experiment, draft_experiment
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import report_experiment

from tests.use_cases.experiment_days import START, add, day_of

PLACES: Mapping[str, tuple[str, ...]] = dict.fromkeys(("home_hero", "pdp_similar"), POLICIES)
FAST = Design(first_look_day=1, maturation_days=0, max_days=6, boundary=1.5)
EXP_A = ExperimentConfig(
    "exp_a", 0, ("home_hero", "pdp_similar"), ("cohorts", "hybrid", "hybrid_margin"), "a", design=FAST
)
EXP_B = ExperimentConfig("exp_b", 0, ("home_hero", "pdp_similar"), ("cohorts", "hybrid_new"), "b", design=FAST)
LIFTS = {"hybrid": 0.6, "hybrid_margin": 0.3}
VISITORS = [f"v{n}" for n in range(60)]

NAMES = st.sampled_from(["", "hybrid", "hybrid_margin"])
PLACED = st.sampled_from(["", "home_hero", "pdp_similar"])
ORDERS = st.one_of(
    st.builds(
        Order, st.sampled_from(["pause", "resume", "promote", "rollback", "promote"]), st.just("exp_a"), st.just("ada")
    ),
    st.builds(
        Order,
        st.just("decide"),
        st.just("exp_a"),
        st.just("ada"),
        variant=st.sampled_from(["cohorts", "hybrid", "hybrid_margin"]),
    ),
    st.builds(
        Order,
        st.just("decide"),
        st.just("exp_a"),
        st.just("ada"),
        choices=st.dictionaries(st.sampled_from(EXP_A.placements), st.sampled_from(EXP_A.variants), min_size=1),
    ),
    st.builds(Order, st.just("kill"), st.just("exp_a"), st.just("ada"), variant=NAMES),
    st.builds(Order, st.just("kill"), st.just("exp_a"), st.just("ada"), placement=PLACED),
    st.builds(Order, st.sampled_from(["start", "promote", "rollback"]), st.just("exp_b"), st.just("ada")),
    st.builds(Order, st.just("decide"), st.just("exp_b"), st.just("ada"), variant=st.just("hybrid_new")),
)
STEPS = st.lists(st.one_of(ORDERS, st.just("a day"), st.just("a day")), max_size=14)


@dataclass
class Course:
    """An experiment that lives through steps, and what was killed on the way: (placement, variant)."""

    store: MemoryExperimentStore = field(default_factory=MemoryExperimentStore)
    now: datetime = START
    dead: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for wanted in (EXP_A, EXP_B):
            draft_experiment(
                wanted,
                placements=dict.fromkeys(PLACES, (*POLICIES, "hybrid_new")),
                store=self.store,
                now=self.now,
                actor="ada",
            )
        change_experiment(Order("start", "exp_a", "ada"), store=self.store, now=self.now)

    def take(self, step: Order | str) -> None:
        """One step; what is refused changes nothing."""
        self.now += timedelta(days=1)
        if isinstance(step, Order):
            with suppress(RecommenderError):
                change_experiment(step, store=self.store, now=self.now)
                self._note(step)
            return
        snapshot = self.store.load_snapshot()
        assert snapshot is not None
        for config in snapshot.configs:
            add(self.store, day_of(config, snapshot, LIFTS, seed=snapshot.epoch, per_day=20_000))
        reallocate_traffic(at=self.now, store=self.store)
        after = self.store.load_snapshot()
        assert after is not None
        for flag in after.killed - snapshot.killed:  # the job kills as well
            self._note(Order("kill", flag.partition("/")[0], "job", variant=flag.partition("/")[2]))

    def _note(self, step: Order) -> None:
        if step.action == "kill" and step.experiment_id == "exp_a":
            names = [step.variant] if step.variant else EXP_A.variants[1:]
            places = [step.placement] if step.placement else EXP_A.placements
            self.dead |= {(placement, name) for placement in places for name in names}

    def served(self) -> set[tuple[str, str]]:
        """What visitors see now."""
        snapshot = self.store.load_snapshot()
        return {(name, assign(snapshot, visitor, name).variant) for name in PLACES for visitor in VISITORS}

    def could_be_served(self) -> set[tuple[str, str]]:
        """What has any traffic in the experiment at all, or is a placement's default."""
        snapshot = self.store.load_snapshot()
        assert snapshot is not None
        config = snapshot.config("exp_a")
        drawn = (
            {
                (name, variant)
                for name in EXP_A.placements
                for variant, weight in zip(EXP_A.variants, live_weights(snapshot, config, name), strict=True)
                if weight > 0
            }
            if config is not None
            else set()
        )
        return drawn | set(snapshot.defaults.items())


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_what_is_killed_never_serves_again_by_any_sequence_of_steps(steps: list[Order | str]) -> None:
    course = Course()
    for step in steps:
        course.take(step)
        assert not course.served() & course.dead, step
        assert not course.could_be_served() & course.dead, step


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_no_headline_says_that_something_serves_which_does_not(steps: list[Order | str]) -> None:
    course = Course()
    for step in steps:
        course.take(step)
    snapshot = course.store.load_snapshot()
    assert snapshot is not None
    report = report_experiment("exp_a", store=course.store, now=course.now)
    for variant in EXP_A.variants:
        if f"{variant} serves all 2 placements" in report["headline"] and snapshot.config("exp_a"):
            assert {_served_most(course, place) for place in PLACES} == {variant}, report["headline"]


def _served_most(course: Course, placement: str) -> str:
    snapshot = course.store.load_snapshot()
    ((variant, _),) = Counter(assign(snapshot, visitor, placement).variant for visitor in VISITORS).most_common(1)
    return variant


def test_a_killed_placement_is_not_shipped_by_evidence_that_it_borrows() -> None:
    course = Course()
    course.take(Order("kill", "exp_a", "ada", placement="home_hero"))
    for _ in range(8):
        course.take("a day")

    report = report_experiment("exp_a", store=course.store, now=course.now)

    assert course.store.load_snapshot().decided["exp_a"]["pdp_similar"] == "hybrid"  # type: ignore[union-attr]
    assert course.store.load_snapshot().decided["exp_a"].get("home_hero", "cohorts") == "cohorts"  # type: ignore[union-attr]
    assert report["headline"] == "Of 2 placements, hybrid serves 1, cohorts serves 1 because of a kill (home_hero)."
    change_experiment(Order("promote", "exp_a", "ada"), store=course.store, now=course.now)
    assert course.served() == {("home_hero", "cohorts"), ("pdp_similar", "hybrid")}


def test_where_a_shipped_variant_is_killed_the_control_serves_and_the_headline_says_so() -> None:
    course = Course()
    course.take("a day")
    course.take(Order("decide", "exp_a", "ada", variant="hybrid"))
    course.take(Order("kill", "exp_a", "ada", variant="hybrid"))

    report = report_experiment("exp_a", store=course.store, now=course.now)

    assert course.served() == {("home_hero", "cohorts"), ("pdp_similar", "cohorts")}
    assert "cohorts serves 2 because of a kill (hybrid)" in report["headline"]
    assert "hybrid serves" not in report["headline"]


def test_a_killed_experiment_says_that_the_control_serves() -> None:
    course = Course()
    course.take(Order("decide", "exp_a", "ada", variant="hybrid"))
    course.take(Order("kill", "exp_a", "ada"))

    report = report_experiment("exp_a", store=course.store, now=course.now)

    assert report["headline"] == "Killed. cohorts serves all 2 placements."


def test_a_resume_after_a_roll_back_names_what_may_not_ship_and_no_look_ships_it() -> None:
    course = Course()
    for _ in range(3):
        course.take("a day")
    assert course.store.load_snapshot().decided["exp_a"] == dict.fromkeys(PLACES, "hybrid")  # type: ignore[union-attr]
    course.take(Order("rollback", "exp_a", "ada"))
    course.take(Order("resume", "exp_a", "ada"))

    resumed = course.store.audit_trail("exp_a")[-1]
    for _ in range(3):
        course.take("a day")

    assert (resumed["action"], resumed["may_not_ship"]) == ("resume", {place: ["hybrid"] for place in PLACES})
    assert "hybrid" not in course.store.load_snapshot().decided.get("exp_a", {}).values()  # type: ignore[union-attr]
    told = report_experiment("exp_a", store=course.store, now=course.now)["may_not_claim"]
    assert any("rolled back there, and no look decides for it again" in sentence for sentence in told)
    assert told
