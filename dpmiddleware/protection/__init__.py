"""The life of a payload: from text to protected text and back."""
