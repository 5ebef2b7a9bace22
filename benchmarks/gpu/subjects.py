"""What is measured of each kind of model, in this order, and how long it may take on a GPU that is not the quickest."""

SUBJECTS = {
    "in_two_processes": 10,
    "preparation": 10,
    "samples": 15,
    "in_float32": 40,
    "memory": 5,
    "fingerprint": 8,
    "repeatable": 5,
    "autocast": 10,
    "in_bfloat16": 40,
    "whole_model": 15,
    "checks": 15,  # of one model, when all else was measured
}
