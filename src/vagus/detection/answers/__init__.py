"""Answers that have become worse, without a judge: detectors with a declared run length.

``perplexity`` asks how surprised a model is by fixed texts, where log-probabilities are offered;
``canaries`` how often it hits known answers; ``completions`` whether what it says is still drawn
from what it used to say, where there is nothing but text. Each was taught on a healthy model first,
and belongs to that version. None of them judges a single answer: evidence adds up
(``evidence``), and an alarm says that the model is another one than it was.
"""

from vagus.detection.answers.canaries import Canaries
from vagus.detection.answers.completions import Completions
from vagus.detection.answers.perplexity import Perplexity

__all__ = ["Canaries", "Completions", "Perplexity"]
