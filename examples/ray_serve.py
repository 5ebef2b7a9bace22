"""A server on a Ray cluster: a request goes to a replica that has its voice in memory already.

    CHATTERBOX_CACHED_SHARED=valkey://... CHATTERBOX_CACHED_SIGNING_KEY=... python ray_serve.py voices
    curl -H "serve_multiplexed_model_id: anna.wav" -o hello.wav "http://localhost:8000/?text=Hello"

voices is a folder of audio files that every node can read. On a cluster that runs already the two variables belong in
the environment of its nodes; RAY_ADDRESS says where it is.
"""

import argparse
import asyncio
import io
from pathlib import Path

import ray
from ray import serve
from starlette.responses import PlainTextResponse, Response

import chatterbox_cached

VOICES_PER_REPLICA = 256  # as many as the cache keeps in memory


@serve.deployment
class Speaker:
    def __init__(self, folder, device):
        from chatterbox.tts import ChatterboxTTS  # here, since only the replicas need it

        # The shared store and its key come from the environment; the folder is this node's own.
        self.cache = chatterbox_cached.enable()
        self.model = ChatterboxTTS.from_pretrained(device=device)
        self.files = {path.name: path for path in folder.iterdir()}

    @serve.multiplexed(max_num_models_per_replica=VOICES_PER_REPLICA)
    async def voice(self, name):
        """Prepare the voice, or find it in the shared store. From here on Ray knows that this replica has it."""
        await asyncio.to_thread(self.cache.get_or_prepare, self.model, self.files[name])
        return self.files[name]

    async def __call__(self, request):
        import torchaudio

        name, text = serve.get_multiplexed_model_id(), request.query_params.get("text")
        if name not in self.files or not text:
            return PlainTextResponse("There is no such voice, or no text.\n", status_code=404)
        voice = await self.voice(name)
        wav = await asyncio.to_thread(self.model.generate, text, audio_prompt_path=voice)
        content = io.BytesIO()
        torchaudio.save(content, wav, self.model.sr, format="wav")
        replica = serve.get_replica_context().replica_id.unique_id
        return Response(content.getvalue(), media_type="audio/wav", headers={"x-replica": replica})


def main():
    options = parse_arguments()
    ray.init()
    device = options.device or ("cuda" if ray.cluster_resources().get("GPU") else "cpu")
    actor_options = {"num_gpus": 1 if device == "cuda" else 0}
    speaker = Speaker.options(num_replicas=options.replicas, ray_actor_options=actor_options)
    serve.start(http_options={"port": options.port})
    try:
        serve.run(speaker.bind(options.voices.resolve(), device), blocking=True)
    except KeyboardInterrupt:
        serve.shutdown()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", type=Path, help="folder of audio files with one reference voice each")
    parser.add_argument("--port", type=int, default=8000, help="where to listen, on this machine only")
    parser.add_argument("--replicas", type=int, default=2, help="how many models, over all nodes")
    parser.add_argument("--device", help="cuda or cpu; cuda where the cluster has GPUs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
