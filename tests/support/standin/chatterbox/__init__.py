"""Stands in for Chatterbox where a test needs hundreds of voices or a dozen processes: a preparation is instant."""

from chatterbox.tts import ChatterboxTTS as ChatterboxTTS
