"""What is measured of each kind of model, in this order, and how many seconds are to be left for it."""

SUBJECTS = {
    "in_two_processes": 10,
    "preparation": 10,
    "samples": 15,
    "in_float32": 40,
    "memory": 5,
    "fingerprint": 8,
    "repeatable": 5,
    "autocast": 20,
    "in_bfloat16": 40,
    "whole_model": 15,
    "checks": 15,  # of one model, when all else was measured
}
