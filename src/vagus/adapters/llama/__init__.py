"""What llama.cpp's server offers beyond the API of OpenAI."""
