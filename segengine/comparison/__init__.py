"""Finished runs side by side: loaded, guarded, judged and rendered; a pure function of run folders."""
