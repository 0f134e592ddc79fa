"""The fusion module: picture and question become rows for the language model."""
