"""As upstream's gradio_tts_app.py: a text and an uploaded voice, and what is spoken."""

import sys

import gradio as gr
from chatterbox.tts import ChatterboxTTS

model = ChatterboxTTS.from_pretrained("cpu")


def generate(text, audio_prompt_path):
    wav = model.generate(text, audio_prompt_path=audio_prompt_path)
    return (model.sr, wav.squeeze(0).numpy()), audio_prompt_path


app = gr.Interface(
    generate,
    [gr.Textbox(), gr.Audio(sources=["upload"], type="filepath")],
    [gr.Audio(), gr.Textbox()],
    api_name="generate",
)

if __name__ == "__main__":
    app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
