"""The published layouts by name; a new one is its file and a line here."""

from __future__ import annotations

from stepscore.records.convert.gsm8k import GSM8K
from stepscore.records.convert.layout import Layout
from stepscore.records.convert.qwen_rm_maj import QWEN_RM_MAJ
from stepscore.records.convert.rewardmath import REWARDMATH

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (GSM8K, QWEN_RM_MAJ, REWARDMATH)}
