"""The former place of `stepscore.policies`, until 0.3."""

from stepscore.renamed import renamed

__getattr__ = renamed(
    __name__,
    {
        "EndpointPolicy": "stepscore.policies.EndpointPolicy",
        "HuggingFacePolicy": "stepscore.policies.HuggingFacePolicy",
        "LabPolicy": "stepscore.lab.LabContinuationPolicy",
    },
)
