"""What RewardMATH's published scores come to, for the tests of files and of figures alike."""

# RewardMATH, 483 problems: problems won, MRR, pairs won; a tie is a loss. Float64.
GOLDEN = {
    "Math_Shepherd": {
        "min": (74, 0.346686, 2356),
        "prod": (83, 0.346792, 2245),
        "geometric_mean": (76, 0.336121, 2240),
        "mean": (73, 0.327777, 2172),
        "logit_mean": (71, 0.319227, 2134),
        "odds_mean": (45, 0.263561, 1896),
        "last": (88, 0.388345, 2636),
        "max": (19, 0.218233, 1644),
    },
    "ReasonEval_7B": {
        "min": (94, 0.386728, 2651),
        "prod": (88, 0.384949, 2655),
        "geometric_mean": (98, 0.392574, 2639),
        "mean": (97, 0.391926, 2659),
        "logit_mean": (101, 0.404455, 2713),
        "odds_mean": (93, 0.400164, 2712),
        "last": (72, 0.362651, 2626),
        "max": (58, 0.340341, 2509),
    },
}
