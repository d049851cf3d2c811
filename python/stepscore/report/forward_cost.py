"""What forwarding some traces costs, as figures and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# From this share on tokenising is worth doing beside the model.
_MUCH = 0.05
Stage = Literal["tokenise", "plan", "forward", "read"]


@dataclass
class BareForward:
    """The backbone alone over random tokens, in rows of one length.

    Attributes:
        length: of a row: the mean of the traces.
        tokens: of all rows: as many as the traces have unique ones, up to a whole row and at most
            65,536 or one row.
        batch: the rows of a batch, the fastest number of several.
        seconds: the median of 3.
    """

    length: int
    tokens: int
    batch: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


@dataclass
class ForwardCost:
    """What forwarding some traces took.

    Attributes:
        traces: candidates.
        steps: of all candidates.
        given: tokens of all candidates, each with its problem, up to its last step.
        unique: distinct prefixes among them: what no plan can go below.
        forwarded: tokens that went through the model, padding included.
        padding: of these.
        batches: forward passes.
        pieces: runs of tokens that were forwarded as one.
        kept: the most tokens whose keys and values were kept for others at any time.
        kept_bytes: their memory.
        seconds: of each stage, one after the other.
        tokenise_cpu: seconds of all cores that tokenising took.
        shared: whether the model shares prefixes.
        sharing: why it does or does not.
        bare: the floor.
    """

    traces: int = 0
    steps: int = 0
    given: int = 0
    unique: int = 0
    forwarded: int = 0
    padding: int = 0
    batches: int = 0
    pieces: int = 0
    kept: int = 0
    kept_bytes: int = 0
    seconds: dict[Stage, float] = field(
        default_factory=lambda: {"tokenise": 0.0, "plan": 0.0, "forward": 0.0, "read": 0.0}
    )
    tokenise_cpu: float = 0.0
    shared: bool = True
    sharing: str = ""
    bare: BareForward | None = None

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def tokenise_rates(self) -> tuple[float, float]:
        """Texts, and tokens, that one core makes of them in a second."""
        seconds = max(self.tokenise_cpu, 1e-9)  # of a clock that may stand still for a moment
        return self.traces / seconds, self.given / seconds

    @property
    def tokenise_share(self) -> float:
        """The part of the time that tokenising takes where nothing runs beside it."""
        return self.seconds["tokenise"] / max(self.total, 1e-9)

    @property
    def whole_ratio(self) -> float:
        """How many times as many tokens forwarding every trace whole would take."""
        return self.given / self.forwarded

    @property
    def bare_ratio(self) -> float:
        """Unique tokens per second of all stages, over tokens per second of the bare forward."""
        assert self.bare is not None
        return self.unique / self.total / self.bare.rate

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        assert self.bare is not None
        content = asdict(self)
        content["seconds"]["total"] = self.total
        content["unique_tokens_per_second"] = self.unique / self.total
        content["given_tokens_per_second"] = self.given / self.total
        content["given_over_forwarded"] = self.whole_ratio
        content["bare"]["tokens_per_second"] = self.bare.rate
        content["tokenise_share"] = self.tokenise_share
        texts, tokens = self.tokenise_rates
        content["texts_tokenised_per_core_second"] = texts
        content["tokens_tokenised_per_core_second"] = tokens
        content["ratio_to_bare"] = self.bare_ratio
        return content

    def lines(self) -> list[str]:
        """Everything, for a person."""
        assert self.bare is not None
        rows = [
            ("traces", f"{self.traces:,}", f"{self.steps:,} steps"),
            ("tokens given", f"{self.given:,}", "every trace with its problem"),
            ("  unique", f"{self.unique:,}", "distinct prefixes: the least that can be forwarded"),
            ("  forwarded", f"{self.forwarded:,}", f"of them {self.padding:,} padding"),
            ("batches", f"{self.batches:,}", f"of {self.pieces:,} pieces"),
            (
                "kept",
                f"{self.kept:,}",
                f"tokens at the most, {self.kept_bytes / 1e6:,.1f} MB of keys and values",
            ),
            *(
                (stage, f"{seconds:.3f} s", f"{seconds / self.total:.1%}{self._rate(stage)}")
                for stage, seconds in self.seconds.items()
            ),
            (
                "together",
                f"{self.total:.3f} s",
                f"{self.unique / self.total:,.0f} unique tokens/s, "
                f"{self.given / self.total:,.0f} given tokens/s",
            ),
            (
                "bare forward",
                f"{self.bare.rate:,.0f}",
                f"tokens/s ({self.bare.tokens:,} random tokens in rows of {self.bare.length:,}, "
                f"{self.bare.batch} in a batch)",
            ),
            ("ratio to bare", f"{self.bare_ratio:.2f}", "1 is the speed of the bare forward"),
            ("given/forwarded", f"{self.whole_ratio:.2f}", "what forwarding every trace costs"),
        ]
        notes = ["The stages were timed one after the other; scoring tokenises beside the model."]
        if self.tokenise_share > _MUCH:
            notes.append(
                f"Tokenising takes {self.tokenise_share:.1%} of the time where nothing runs beside "
                "it: score larger chunks, in each of which the next tokens are made beside the "
                "model, or name a GPU twice, so that one process tokenises while another forwards."
            )
        if not self.shared:
            notes.append("This model shares nothing: every trace is forwarded whole, padded.")
        if self.sharing:
            notes.append(f"Sharing: {self.sharing}.")
        return [*(f"{name:<16}{value:>12}  {what}".rstrip() for name, value, what in rows), *notes]

    def _rate(self, stage: Stage) -> str:
        """How fast texts become tokens, which takes other cores than the model's on a GPU."""
        if stage != "tokenise":
            return ""
        texts, tokens = self.tokenise_rates
        return f", {texts:,.0f} texts and {tokens:,.0f} tokens/s and core"
