"""Questions that people would ask the lab's pipeline.

They are made from the titles of the help topics that its passages come from, so each has a topic in
which its answer stands. Whether retrieval finds that topic can be counted, which a 135M model's
prose can't be judged by.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from vagus.lab.corpus import passages, title, topics
from vagus.lab.settings import LabSettings


@dataclass(frozen=True)
class Question:
    """A question, and the help topic that answers it."""

    text: str
    topic: str


_OF_THE = (
    "What does {} do in Python?",
    "When would I use {}?",
    "How does {} work?",
    "Can you explain {} to a beginner?",
    "What is the rule for {}?",
)
_OF_MANY = (
    "How do {} work in Python?",
    "What are {}?",
    "What should I know about {}?",
    "Where are {} described, and how are they used?",
    "Can you explain {} briefly?",
)
_OF_ONE = (
    "How does {} work in Python?",
    "What is {}?",
    "What should I know about {}?",
    "What does Python define about {}?",
    "Can you explain {} briefly?",
)
_HEADS_OF_ONE = ("customizing", "emulating", "interaction")


def questions(settings: LabSettings) -> tuple[Question, ...]:
    """Every question that the corpus of ``settings`` answers, in a seeded order."""
    texts = topics()
    made: dict[str, Question] = {}
    for topic in sorted({passage.topic for passage in passages(settings.passages, settings.seed)}):
        for question in _about(title(texts[topic])):
            made.setdefault(question, Question(question, topic))
    order = list(made.values())
    random.Random(settings.seed).shuffle(order)
    return tuple(order)


def _about(heading: str) -> list[str]:
    subject = heading.lower().split(" — ")[0]
    if subject.startswith("the "):
        forms = _OF_THE
    elif subject.endswith("s") and subject.split()[0] not in _HEADS_OF_ONE:
        forms = _OF_MANY
    else:
        forms = _OF_ONE
    return [form.format(subject) for form in forms]
