"""Texts that a healthy model finds plain, and questions that a small one can answer."""

from __future__ import annotations

TEXTS = (
    "The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
    "Water boils at one hundred degrees Celsius and freezes at zero degrees.",
    "Please remember to turn off the lights before you leave the room.",
    "The Earth goes around the Sun once a year, and the Moon goes around the Earth.",
    "She opened the door, looked around the room, and sat down on a chair near the window.",
    "To make tea, boil some water, pour it over the leaves, and wait for a few minutes.",
    "A triangle has three sides, a square has four, and a hexagon has six.",
    "In the spring the days become longer and the trees begin to grow new leaves.",
    "The train was late this morning because there was snow on the tracks.",
    "A computer program is a list of instructions that a machine can follow.",
    "My brother lives in a small town near the sea and works in a hospital.",
    "If you want to learn a new language, you should practise a little every day.",
    "The children played in the garden until it was dark and their mother called them.",
    "Bread is made from flour, water, salt and yeast, and then baked in an oven.",
    "The library is open from nine in the morning until six in the evening.",
    "He forgot his umbrella at home, and of course it started to rain.",
)

QUESTIONS = (
    ("The capital of France is", "Paris"),
    ("The days of the week are Monday, Tuesday,", "Wednesday"),
    ("One, two, three, four,", "five"),
    ("The opposite of hot is", "cold"),
    ("The Earth goes around the", "Sun"),
    ("The months of the year are January, February,", "March"),
    ("Water freezes and turns into", "ice"),
    ("The capital of Italy is", "Rome"),
    ("A, B, C, D,", "E"),
    ("The opposite of black is", "white"),
    ("The capital of Germany is", "Berlin"),
    ("A week has seven", "days"),
    ("The four seasons are spring, summer, autumn and", "winter"),
    ("The capital of England is", "London"),
    ("10, 20, 30, 40,", "50"),
    ("The opposite of up is", "down"),
)
