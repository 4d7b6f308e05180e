"""What a model is: its input from DICOM, its files, its prompts, what its numbers mean."""
