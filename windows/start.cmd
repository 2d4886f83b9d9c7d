@echo off
rem Starts Latentcam; the first start makes an environment beside this file and takes some minutes.
setlocal
cd /d "%~dp0.."
if not exist .venv\Scripts\python.exe (
  py -3.11 -m venv .venv || py -3 -m venv .venv || goto nopython
)
if not exist .venv\ready (
  .venv\Scripts\python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt || goto failed
  echo ready> .venv\ready
)
.venv\Scripts\python server.py --open %*
exit /b %errorlevel%
:nopython
echo Latentcam needs Python 3.11 or newer: https://www.python.org/downloads/
pause
exit /b 1
:failed
echo The packages could not be installed; the lines above say why.
pause
exit /b 1
