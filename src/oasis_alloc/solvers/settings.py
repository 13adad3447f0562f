"""Tuning parameters of the dual solver. The answer is correct with any of them; only its time changes.

Smoothings are called gamma. A typical score is the mean value of a slot when nothing has a price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oasis_alloc.common.tuning import Tuning


@dataclass(frozen=True)
class DualSettings:
    """The numbers behind the decisions of the dual solver; `docs/program.md` explains the decisions."""

    # the rows (dual.py)
    few_rows: float = 0.9  # share of the rows that can have a price, up to which the others are left out
    # the smoothing (dual.py), in typical scores
    first_gamma: float = 0.3  # where a solve without prices starts
    own_gamma: float = 10.0  # the same in requested gaps, where all prices are users' own and found without steps
    first_shared_gamma: float = 1.0  # the same, in first prices of support functions, if that is more
    last_sample_gamma: float = 0.03  # where a sample is left, and where a solve with prices starts
    last_gamma: float = 1e-7  # the least there is
    last_worthless_gamma: float = 1e-10  # the same where no pair has a value: prices differ by less than those
    gamma_ratio: float = 3.0  # what the smoothing is divided by from one minimization to the next
    many_guards: int = 5_000  # users with guards from which a linear program is slow
    guarded_gamma: float = 9.0  # factor of the smoothing with guards where prices without them are far off
    tied_gamma: float = 0.03  # below this, pairs that stay fractional with less smoothing count as tied
    tied_share: float = 0.8  # of the fractional pairs of the last smoothing: with more left, pairs are tied
    # when a smoothing is left (dual.py), as residuals of `SmoothedDual.residual`
    roughest: float = 1e-1  # on the first sample
    rough: float = 2e-2  # on the other sample, and with all users
    guarded_rough: float = 2e-3  # with all users and guards, whose linear programs need good prices
    fine: float = 3e-3  # before the finisher
    slow: float = 0.7  # share of the residual that is left after `slow_steps`, from which more steps are given up
    slow_steps: int = 10
    stuck: float = 0.1  # with more than this before the finisher, the constraints are suspected to conflict
    max_steps: int = 25  # Newton steps per minimization
    few_steps: int = 4  # the same where passes are expensive: under rules of slates
    # samples of users (dual.py)
    sample_pairs: int = 200_000  # below this many pairs a sample saves nothing
    max_stride: int = 16  # a sample has at least one in this number of users, or this many pairs:
    large_sample: int = 1 << 22
    slots_per_row: int = 20  # in a sample, for every row that it has to price
    min_slots_per_row: int = 10  # the same where all users are asked next at the same gamma; 4 led curved rows astray
    # visits to only the pairs that may still change (nearby.py)
    core_margin: float = 3.0  # smoothings that margins have at least
    core_steps: float = 3.0  # Newton steps that they have
    core_reach: float = 3.0  # margins that prices may move: most pairs between there and one margin stay decided
    core_share: float = 0.35  # share of the pairs up to which that saves passes
    core_soon: float = 30.0  # times the loss that smoothing may have, from which its end is near
    core_most_steps: float = 8.0  # factor of the steps of a recovery, whose visits cost less than a pass
    core_pairs: int = 20_000  # pairs of a program from which it does
    # the input of the finisher (dual.py)
    undecided_per_row: int = 10  # pairs for every row that has a price
    undecided_per_curved_row: int = 1  # a curved total that is a little off costs the square of it
    min_undecided: int = 2_000  # pairs for any program
    max_undecided: int = 200_000  # pairs for any program
    undecided_per_tied: float = 2.0  # pairs for every one that is fractional, if these are more
    fractional_per_undecided: float = 2.0  # smoothing ends where this times the fractional pairs are that few
    ruled_fractional_per_undecided: float = 0.75  # the same under rules, where passes are expensive
    guarded_fractional_per_undecided: float = 1.2  # the same with guards, of which a user's hold two pairs
    everywhere: float = 0.05  # share of all slots from which a row opens no more pairs than others
    max_widened: float = 4.0  # times the pairs wanted, for prices that may be further off
    widest: tuple[float, ...] = (64.0, 16.0, 4.0, 1.0)  # times the margin: how far it may be widened, tried in turn
    ruled_widest: tuple[float, ...] = (8.0, 1.0)  # the same under rules, whose decisions are expensive
    loose_error: float = 0.1  # share of the requested gap that smoothing may cost if the finisher follows
    good: float = 0.5  # share of the requested gap by which current slates may miss, if passes are expensive
    # prices that run away (dual.py)
    ordinary: float = 1e3  # sizes of prices that a start at 1 finds as well
    runaway: float = 1e4  # typical scores; prices beyond that: the dual is running to minus infinity
    # solving again (again.py)
    again_gamma: float = 0.01  # where a solve starts that has prices and no smoothing, in typical scores
    again_ratio: float = 5.0  # what the smoothing is multiplied by where the earlier prices are far off
    far_off: float = 0.3  # share of a function's totals whose prices may be further off than the longest step
    again_finer: float = 0.8  # share of the smoothing of an earlier recovery: moving may then cost more of the gap
    again_share: float = 0.5  # like `smoothing_share`
    again_curved_steps: int = 1  # Newton steps near earlier prices where curved functions end with slates
    again_open: float = 1.8  # times the pairs wanted that the first decision is meant to leave open
    again_ruled_open: float = 0.7  # the same under rules, whose categories leave more open
    likely: float = 2.0  # times the requested gap that a sample may say of the earlier allocation, to be looked at
    # Newton steps (newton.py)
    max_products: int = 40  # Hessian products per step
    max_halvings: int = 12  # of a step that does not decrease the dual
    armijo: float = 1e-4  # share of the promised decrease that a step has to keep
    forcing: float = 0.03  # conjugate gradients stop at this share of the first residual
    radius: float = 3.0  # longest first step of any price, in units of gamma
    min_radius: float = 0.1  # the least that it is shortened to
    max_radius: float = 12.0  # the most that it grows to
    few_pairs: float = 25.0  # of a row up to which a price that is cut may get a longest step of its own ...
    few_fractional: float = 10.0  # ... and of which no more are fractional
    turned: tuple[float, float] = (0.1, 0.5)  # the least and most of its last step, where it went too far
    same: float = 2.0  # the same where it did not go far enough
    nearly: float = 0.99  # share of the longest step from which the step of a price was cut
    cut: float = 0.03  # share of a function's totals whose prices were cut, from which they are still on their way
    sure: float = 0.1  # share of a residual's limit that will do after such a step
    shared: float = 10.0  # factor of the residual for coupled prices: they move far, and add up
    curves: float = 0.5  # share of what smoothing loses that curved functions may lose, where slates are the end
    settled: float = 0.1  # share of what smoothing loses that coupled prices may lose
    first_damp: float = 0.1  # of the curvature, that is added to it after a step that was too long
    least_damp: float = 1e-3  # the least of it
    damp: float = 3.0  # factor of it after further ones, and its inverse where steps promise too little
    well: float = 0.7  # share of the promised decrease from which they do; an undamped step keeps half
    beyond: float = 0.5  # share of the way between totals by which a step may go past them
    agreed: float = 0.2  # share of the promised decrease from which longer steps are tried
    straight: float = 0.9  # the same from which steps of coupled prices may be as long as they get
    memory: float = 0.5  # weight of earlier visits in the typical curvature
    typical: float = 0.3  # share of the typical curvature that a row is given at least
    typical_of_curves: float = 0.6  # the same where curved functions count: their groups have few pairs each
    unknown: float = 0.01  # the same of a row without fractional pairs so far, as a share of its total over gamma
    few_totals: float = 1e-3  # share of the mean total that such a row counts as having
    coupled: float = 0.1  # the same of coupled prices with fractional pairs, as a share of that of those without
    coupled_products: int = 100  # Hessian products per step where prices are coupled
    stiffened: int = 10  # times that coupled prices are made stiffer, so that a step is short enough
    almost: float = 1.01  # longest steps from which they are
    damping: float = 1e-6  # added to the Hessian's diagonal, as a share of it
    # the end without a linear program (primal_recovery.py)
    recovery_tries: int = 2  # tries
    worthless_tries: int = 40  # the same where no pair has a value
    futile_tries: int = 3  # the same that may follow one another without a better answer
    recovery_aim: float = 0.9  # share of what smoothing may take that the next gamma aims at
    smoothing_share: float = 0.7  # of the requested gap that smoothing may cost
    met: float = 1e-6  # residual at which slates will do if they meet all limits
    moved: tuple[float, ...] = (0.5, 0.1)  # of the gap: cost that moving may have, at first and in a second try
    moved_within: tuple[float, ...] = (0.1, 0.03)  # the same where slates cannot be scaled; the last try meets limits
    promising: float = 1.15  # gap over the requested one, at an estimate that is too high, from which a bound is found
    movable: float = 0.25  # of the open pairs of a row
    dropped: float = 12.0  # gammas that what cannot be moved is worth, where it is near to being dropped
    recovery_steps: int = 16  # Newton steps
    worthless_steps: int = 40  # the same where no pair has a value: an allocation that is not exact ends no later try
    fractional_per_row: float = 20.0  # with fewer, the linear program is small, and Newton steps are many
    fractional_per_ruled_row: float = 4.0  # the same under rules and with support functions, which make it large
    fractional_per_exact_row: float = 6.0  # the same where floors or guards have to be met, which takes more steps
    fractional_per_coupled_row: float = 1.0  # the same with support functions and without rules
    fractional_per_capped_row: float = 3.0  # the same with caps alone, whose excess is moved to other pairs
    min_capped: int = 5_000  # undecided pairs of caps alone up to which a linear program is small
    slates_gap: float = 2e-5  # requested gap from which many caps and curved functions end with slates
    lost: float = 0.1  # share of the gap that support functions may lose where limits are met to rounding
    pairs_per_piece: int = 10  # undecided pairs that take as long as a row of a support function's linear form
    large: int = 50_000  # undecided pairs from which a linear program takes longer than a few passes that are left
    # rounds of the finisher (finisher.py)
    about_zero: float = 1e-11  # x up to which a pair is not shown
    needed: float = 1e-6  # x beyond what a tiny limit allows, from which a slate that must be filled needs the pair
    slack: float = 1e-9  # of a total: a larger miss counts in a linear program
    steep: float = 1e8  # typical values from which the rounding of a price shows in scores
    max_rounds: int = 40  # linear programs
    widen: float = 4.0  # factor of the margin of a pressed row
    close: float = 0.25  # share of a row's margin within which new prices leave a pair open
    restart: int = 100_000  # undecided pairs from which a much wider program is better solved from scratch, presolved
    far: float = 10.0  # typical scores that a price may move before the constraints are suspected to conflict
    narrow: float = 0.25  # of a curved row's radius that is kept where its price was not pressed
    first_radius: float = 1e-3  # minimum share of its own price by which a curved row's price may move at first
    min_margin: float = 1e-6  # the same for the margin: tied pairs have margins near 0
    finest: float = 1e-9  # radius of curved rows, in typical scores, below which their chords are fine enough
    loose: float = 5e-4  # requested gap from which prices may be rough, and first rounds only look for an allocation
    loose_fine: float = 2e-2  # `fine` for such a gap: the linear program corrects more prices per pass than steps do
    loose_slots: int = 10  # `slots_per_row` for it
    loose_rounds: int = 8  # the most rounds of that kind
    loose_per_exact_row: float = 1.0  # `fractional_per_exact_row` for it, with curved functions
    sparse_steps: int = 12  # steps in which the residual then has to fall
    sparse_fall: float = 0.1  # to this share; steps that arrive do so in a few dozen, and others take hundreds
    alternatives: int = 15_000  # maximum number of pairs opened for users who can drop a pair only for another
    few_pressed: int = 100  # rows pressed at a time, of which the users get alternatives at once
    chords: int = 3  # rounds in which curved rows are only given longer chords
    patience: int = 8  # rounds after which all margins are widened
    steady: float = 1.1  # ratio of the last three violations up to which they are taken for a conflict
    tolerant: int = 10  # rounds after which they are if they do not fall
    first_slack: float = 1e3  # first highest price of a slack, in the largest value or price
    cap_slack: float = 1e3  # factor of the first one for caps, which come before floors where a solve is stopped
    max_slack: float = 1e12  # the last one, in typical scores
    kink: float = 1e-9  # gamma, in typical scores, of visits that are made for the bound alone
    ruled_decided: float = (
        1e-4  # requested gap from which decisions tell the bound under rules, for which they have a kink
    )
    ruled_kink: float = 1e-7  # the least of it under rules, where no gap below 1e-6 is asked for
    # conflicts (relaxation.py)
    whole_relaxation: int = 100_000  # pairs up to which the least relaxation is one linear program over all of them

    def for_gap(self, gap: float) -> DualSettings:
        """The settings for a requested gap: with a loose one, prices are rougher where others correct them.

        Limits are then reached at the smoothing that the gap allows, also next to guards: their linear programs, which
        need better prices, are seldom asked.
        """
        if gap < self.loose:
            return self
        return replace(
            self,
            fine=max(self.fine, self.loose_fine),
            slots_per_row=min(self.slots_per_row, self.loose_slots),
            guarded_gamma=1.0,
            guarded_rough=max(self.guarded_rough, self.rough),
        )


DUAL = Tuning(DualSettings())
"""The settings that a solve reads: `with DUAL.using(first_gamma=1.0): oa.solve(problem)`."""
