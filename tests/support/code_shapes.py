"""Functions that are read and never run. In a module of its own, since pytest writes assertions of tests anew."""

# mypy: ignore-errors
# ruff: noqa: F821, PERF203


def an_attribute_is_set(self, path):
    self.last = path


def an_attribute_is_added_to(self):
    self.count += 1


def an_item_is_set(self, path):
    self.table[path] = 1


def an_item_is_added_to(self, path):
    self.table[path] += 1


def a_slice_is_set(self, wav):
    self.buffer[2:5] = wav


def a_slice_is_multiplied(self, wav):
    self.buffer[:, 2:5] *= wav


def a_comprehension_calls(self, paths):
    return [self.load(path) for path in paths]


def a_lambda_sets(self):
    return lambda: self.table.update(a=1)


def a_closure_is_made(self, rate):
    def load(path):
        return self.read(path, rate)

    return load("a.wav")


def an_assertion_has_a_message(self, wav):
    assert len(wav) > 5, "too short"
    assert self.check(wav), f"{wav} is no good"


def all_comes_together(self, path, *more, rate=16000, **options):
    with torch.no_grad() as nothing, self.lock:
        wav, _ = librosa.load(path, sr=rate, **options)
        for each in more:
            try:
                wav = self.mix(wav, *each, gain=[2, 3])
            except (ValueError, OSError) as error:
                raise RuntimeError(f"{path}: {error!r}") from error
            finally:
                nothing.done()
    self.conds = Conditionals(wav[:10] if len(wav) > 10 else wav, {"a": 1})
    return self.conds


def a_constant_is_given(self):
    return 5
