"""A batch on a Ray cluster: every voice is prepared once in all of it, then every row is spoken.

    CHATTERBOX_CACHED_SHARED=valkey://... CHATTERBOX_CACHED_SIGNING_KEY=... python ray_batch.py rows.csv

rows.csv has the columns voice and text. A voice is a path that every node can read, as is the folder for the wav files.
On a cluster that runs already the two variables belong in the environment of its nodes; RAY_ADDRESS says where it is.
"""

import argparse
import csv
from pathlib import Path

import ray

import chatterbox_cached


class Worker:
    """One model in a process of its own, on whichever node Ray has chosen."""

    def __init__(self, device, out):
        from chatterbox.tts import ChatterboxTTS  # here, since only the workers need it

        # The shared store and its key come from the environment; the folder is this node's own.
        self.cache = chatterbox_cached.enable()
        self.model = ChatterboxTTS.from_pretrained(device=device)
        self.out = out


class Warm(Worker):
    def __call__(self, batch):
        for voice in batch["voice"]:
            self.cache.get_or_prepare(self.model, voice)
        self.cache.close()  # puts what still waits into the shared store, where the next stage finds it
        return batch


class Speak(Worker):
    def __call__(self, batch):
        import torchaudio

        paths = [str(self.out / f"{number}.wav") for number in batch["number"]]
        for path, voice, text in zip(paths, batch["voice"], batch["text"], strict=True):
            wav = self.model.generate(text, audio_prompt_path=voice)
            torchaudio.save(path, wav, self.model.sr)
        return {"path": paths}


def main():
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    with options.rows.open(newline="", encoding="utf-8") as file:
        rows = [{"number": number, **row} for number, row in enumerate(csv.DictReader(file), start=1)]
    voices = [{"voice": voice} for voice in dict.fromkeys(row["voice"] for row in rows)]

    ray.init()
    device = options.device or ("cuda" if ray.cluster_resources().get("GPU") else "cpu")
    # One model for each worker. Small batches, so that no worker waits for another one's.
    workers = {
        "compute": ray.data.ActorPoolStrategy(size=options.workers),
        "fn_constructor_args": (device, options.out.resolve()),
        "num_gpus": 1 if device == "cuda" else 0,
        "batch_size": 8,
    }
    # A stage of its own: materialize() waits until all voices are there, each prepared by one worker.
    warmed = ray.data.from_items(voices).map_batches(Warm, **workers).materialize()
    print(f"{warmed.count()} voices are in the shared store.")

    spoken = ray.data.from_items(rows).map_batches(Speak, **workers).materialize()
    for row in spoken.iter_rows():
        print(f"wrote {row['path']}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="CSV file with the columns voice and text")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the wav files")
    parser.add_argument("--workers", type=int, default=2, help="how many models, over all nodes")
    parser.add_argument("--device", help="cuda or cpu; cuda where the cluster has GPUs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
