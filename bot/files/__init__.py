"""The content of files: bytes to text, or to a small image.

Rule: the bytes are untrusted. They are parsed in a short-lived process that has little memory, little time and none of
the bot's secrets, because a parser that runs in a thread can be neither ended nor bounded, and a parser in C can crash
its process.

Reading order: limits, file_kinds, plain_text, html_text, pdf_text, images, extraction, child_process, extractor.
"""
